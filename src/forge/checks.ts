import type { Finding } from '../finding.ts';

const SOON_MS = 14 * 86_400_000;

/** Said at every start, until the adapter has been run against the real thing. */
export function unverified(name: string): Finding {
  const sentence = `unverified: this adapter follows the documentation of ${name} and was never run against the real thing; try it in mode propose first`;
  return { status: 'warn', code: 'forge_unverified', sentence };
}

/** @param at as the forge writes it: `2026-12-01`, `2026-12-01 10:31:26 UTC`; nothing is said of what cannot be read */
export function expiryFinding(at: string, now: number): Finding | null {
  const until = Date.parse(at);
  if (Number.isNaN(until)) return null;
  const days = Math.floor((until - now) / 86_400_000);
  if (until <= now) return { status: 'fail', code: 'forge_auth_failed', sentence: `the token wore out on ${at}; make a new one` };
  if (until - now > SOON_MS) return null;
  return { status: 'warn', code: 'forge_token_expires', sentence: `the token wears out in ${days} days; make a new one` };
}
