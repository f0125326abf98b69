import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { ResolvedServer } from '../../config/server.ts';
import { principal, type Principal } from './principal.ts';

/**
 * Who a client certificate stands for. The chain has been checked against `tls.clientCaFile` by then; a name that an
 * authority outside of it signed is no name. Each connection is asked once.
 */
export function certificateLookup(clients: ResolvedServer['clients']): (socket: Socket) => Principal | 'none' | 'unknown' {
  const known = clients.map(({ name, subject, san, scopes, applications }) => ({
    who: principal('certificate', name, { scopes, applications }),
    subject,
    san,
  }));
  const seen = new WeakMap<Socket, Principal | 'none' | 'unknown'>();
  const look = (socket: TLSSocket): Principal | 'none' | 'unknown' => {
    const certificate = socket.getPeerCertificate();
    if (certificate === null || Object.keys(certificate).length === 0) return 'none';
    if (!socket.authorized) return 'unknown';
    const names = namesOf(certificate);
    const found = known.find(
      ({ subject, san }) =>
        (subject === undefined || names.subject === subject) && (san === undefined || names.sans.includes(san)),
    );
    return found?.who ?? 'unknown';
  };
  return (socket) => {
    if (known.length === 0 || !isTls(socket)) return 'none';
    const before = seen.get(socket);
    if (before !== undefined) return before;
    const found = look(socket);
    seen.set(socket, found);
    return found;
  };
}

/** `subjectaltname` is a text; quoted entries, which could hide a comma, are not names that anybody configures. */
function namesOf({ subject, subjectaltname }: PeerCertificate): { subject: string | undefined; sans: string[] } {
  const common: unknown = subject.CN;
  const sans = (subjectaltname ?? '').includes('"') ? [] : (subjectaltname ?? '').split(', ');
  return { subject: typeof common === 'string' ? common : undefined, sans };
}

function isTls(socket: Socket): socket is TLSSocket {
  return 'encrypted' in socket && socket.encrypted === true;
}
