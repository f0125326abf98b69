/** In every name of a file that a command hidden in a string would make. */
export const MARK = 'davylamp-trap-5d1c';

// prettier-ignore
const PAYLOADS = [
  `touch ${MARK}`, `$(touch ${MARK})`, `\`touch ${MARK}\``, `;touch ${MARK};`, `|touch ${MARK}`, `&touch ${MARK}&`, `\ntouch ${MARK}\n`,
  `\r\ntouch ${MARK}`, `'; touch ${MARK}; '`, `"; touch ${MARK}; "`, `--output=${MARK}`, `--upload-pack=touch ${MARK}`,
  `--receive-pack=touch ${MARK}`, `--exec=touch ${MARK}`, `-o${MARK}`, `-c core.pager=touch`, `ext::sh -c touch% ${MARK}`,
  `../${MARK}`, `../../../../../../tmp/${MARK}`, `/tmp/${MARK}`, `~/${MARK}`, `C:\\${MARK}`, `file://${MARK}`, `%2e%2e/${MARK}`,
  `.git/hooks/${MARK}`, `.GIT/config`, `.git\u200c/config`, `git~1/config`, `a/.git/x`, `.gitmodules`, `.gitattributes`, `HEAD`,
];
// prettier-ignore
const AROUND: ReadonlyArray<(payload: string) => string> = [
  (it) => it, (it) => `-${it}`, (it) => `--${it}`, (it) => `a/${it}`, (it) => `${it}/b`, (it) => `refs/heads/${it}`, (it) => `:(glob)${it}`,
  (it) => `${it}^{commit}`, (it) => `@{${it}}`, (it) => `\u202e${it}`, (it) => `${it}\0`, (it) => `a..${it}`, (it) => `+${it}:main`,
  (it) => `done\n${it}`, (it) => `"${it}`, (it) => `data 5\n${it}`, (it) => ` ${it} `,
];
/** 544 of them. */
export const HOSTILE = [...new Set(PAYLOADS.flatMap((payload) => AROUND.map((around) => around(payload))))];
