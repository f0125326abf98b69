import { createReadStream } from 'node:fs';
import { rename, stat, appendFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** One answered request, as a customer saw it. */
export interface Visit {
  at: number;
  status: number;
  /** Which side of the router answered; "-" when none did. */
  side: string;
  version: string;
  method: string;
  path: string;
  ms: number;
}

/** A demo that stays up must not fill the disk: the log starts anew at this size and keeps one older part. */
const LARGEST_LOG_BYTES = 20_000_000;

export function formatVisit(visit: Visit): string {
  const at = new Date(visit.at).toISOString();
  return `${at} ${String(visit.status)} ${visit.side} ${visit.version || '-'} ${visit.method} ${visit.path} ${visit.ms.toFixed(1)}ms`;
}

export function olderPart(file: string): string {
  return `${file}.1`;
}

export async function appendVisits(file: string, visits: readonly Visit[]): Promise<void> {
  if (visits.length === 0) return;
  await appendFile(file, visits.map((visit) => `${formatVisit(visit)}\n`).join(''));
  if ((await stat(file)).size > LARGEST_LOG_BYTES) await rename(file, olderPart(file));
}

/** When a customer got the first 5xx from this version (milliseconds since the epoch); null when none did. */
export async function firstServerError(file: string, version: string): Promise<number | null> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  try {
    for await (const line of lines) {
      const [at, status, , served] = line.split(' ');
      if (at !== undefined && served === version && status?.startsWith('5') === true) return Date.parse(at);
    }
  } finally {
    lines.close();
  }
  return null;
}
