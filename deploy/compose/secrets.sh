#!/bin/sh
# Makes the secrets of docker-compose.yml in the folder that is named, deploy/compose/secrets without one. What is there
# already stays. davylamp gets digests only; the secrets themselves are for those who call it.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"

make() { [ -s "$folder/$1" ] || head -c 32 /dev/urandom | base64 | tr -d '\n=+/' >"$folder/$1"; }
digest() { sha256sum <"$folder/$1" | cut -d ' ' -f 1; }

make api-token
make alertmanager-password
# Alertmanager runs as another user than the one who types this.
chmod 0755 "$folder"
chmod 0644 "$folder/alertmanager-password"

cat >"$folder/davylamp.env" <<END
DAVYLAMP__SERVER__TOKENS=[{name: operator, sha256: $(digest api-token), scopes: [admin]}]
DAVYLAMP__SERVER__BASIC=[{name: alertmanager, username: alertmanager, passwordSha256: $(digest alertmanager-password)}]
END
echo "secrets are in $folder; call davylamp with: curl -H \"Authorization: Bearer \$(cat $folder/api-token)\" http://127.0.0.1:8080/api/v1/analyses"
