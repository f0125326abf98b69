import { LedgerEntry } from '../ledger/record.ts';
import { apiCommand, plain, table, type SendRequest } from './api.ts';
import { usage, type Command } from './command-line.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 1_000;

/** `ledger APP`: what is known of the revisions of an application. */
export function ledgerWith(send: SendRequest): Command {
  const shape = { positionals: ['APP'], values: ['standing', 'limit'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write, complain }) => {
    const most = limitOf(values.get('limit'));
    const query = { standing: values.get('standing') };
    const { items, more } = await api.list(pathOf(positionals[0]), LedgerEntry, { most, query });
    if (flags.has('json')) {
      write(`${JSON.stringify(items, null, 2)}\n`);
    } else if (items.length === 0) {
      write('nothing is known of any revision yet\n');
    } else {
      const rows = items.map(({ revision, standing, rank, since, by, reason }) => [
        revision,
        standing,
        rank ?? '-',
        since,
        by,
        reason,
      ]);
      write(table([['REVISION', 'STANDING', 'RANK', 'SINCE', 'BY', 'WHY'], ...rows]));
    }
    if (more) complain('there are more; see --limit\n');
  });
}

/** `mark-good APP SHA --reason TEXT` and `mark-bad`: a person's word about a revision. */
export function markWith(send: SendRequest, standing: 'good' | 'bad'): Command {
  const shape = { positionals: ['APP', 'SHA'], values: ['reason'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const [application, revision = ''] = positionals;
    const reason = values.get('reason');
    if (reason === undefined) throw usage('say why with --reason; it stands in the ledger and in the journal');
    const path = `${pathOf(application)}/${encodeURIComponent(revision.toLowerCase())}/mark`;
    const entry = await api.post(path, { standing, reason }, LedgerEntry);
    if (flags.has('json')) write(`${JSON.stringify(entry, null, 2)}\n`);
    else
      write(`${plain(entry.application)} ${entry.revision} is ${entry.standing}: ${plain(entry.reason)} (${plain(entry.by)})\n`);
  });
}

function pathOf(application = ''): string {
  return `/api/v1/applications/${encodeURIComponent(application)}/ledger`;
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw usage(`--limit is a number from 1 to ${MAX_LIMIT}`);
}
