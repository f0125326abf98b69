import { Rollback } from '../rollback/record.ts';
import { RollbackPreview } from '../rollback/preview.ts';
import { apiCommand, plain, table, type SendRequest } from './api.ts';
import type { Command } from './command-line.ts';

const WRITTEN = 'asked for on the command line';

/** `rollback APP`: asks for a rollback, or with `--dry-run` for what it would do. */
function rollbackWith(send: SendRequest): Command {
  const shape = { positionals: ['APP'], values: ['commit', 'reason'], flags: ['dry-run', 'json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const [application = ''] = positionals;
    const commit = values.get('commit');
    const dryRun = flags.has('dry-run');
    const body = {
      application,
      ...(commit !== undefined && { revision: commit }),
      reason: values.get('reason') ?? WRITTEN,
      ...(dryRun && { dryRun }),
    };
    if (dryRun) {
      const preview = await api.post('/api/v1/rollbacks', body, RollbackPreview);
      write(flags.has('json') ? `${JSON.stringify(preview)}\n` : shownPreview(preview));
      return;
    }
    const rollback = await api.post('/api/v1/rollbacks', body, Rollback);
    write(flags.has('json') ? `${JSON.stringify(rollback)}\n` : shownRollback(rollback));
  });
}

/** `rollbacks`: the newest ones. */
function rollbacksWith(send: SendRequest): Command {
  const shape = { optional: ['APP'], values: ['state', 'limit'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const [application] = positionals;
    const most = Math.min(1_000, Math.max(1, Number(values.get('limit') ?? 20) || 20));
    const query = { application, state: values.get('state') };
    const { items, more } = await api.list('/api/v1/rollbacks', Rollback, { most, query });
    if (flags.has('json')) {
      for (const item of items) write(`${JSON.stringify(item)}\n`);
      return;
    }
    if (items.length === 0) {
      write('there is no rollback\n');
      return;
    }
    const rows = items.map(({ id, application: of, badCommit, state, code, decidedAt, sentence }) => [
      id,
      of,
      badCommit.slice(0, 10),
      state,
      code,
      decidedAt,
      sentence,
    ]);
    write(table([['ID', 'APPLICATION', 'BAD', 'STATE', 'CODE', 'DECIDED', 'WHY'], ...rows]));
    if (more) write('there are more; see --limit\n');
  });
}

/** `approve ID --plan HASH`: releases a held rollback as it was seen. */
function approveWith(send: SendRequest): Command {
  const shape = { positionals: ['ID'], values: ['plan'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const path = `/api/v1/rollbacks/${encodeURIComponent(positionals[0] ?? '')}`;
    const plan = values.get('plan');
    const rollback = await api.post(`${path}/approve`, plan === undefined ? {} : { plan }, Rollback);
    write(flags.has('json') ? `${JSON.stringify(rollback)}\n` : shownRollback(rollback));
  });
}

/** `refuse ID --reason TEXT`: a person's no. */
function refuseWith(send: SendRequest): Command {
  const shape = { positionals: ['ID'], values: ['reason'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const path = `/api/v1/rollbacks/${encodeURIComponent(positionals[0] ?? '')}`;
    const rollback = await api.post(
      `${path}/refuse`,
      { reason: values.get('reason') ?? 'refused on the command line' },
      Rollback,
    );
    write(flags.has('json') ? `${JSON.stringify(rollback)}\n` : shownRollback(rollback));
  });
}

function shownRollback({ id, application, badCommit, mode, state, code, sentence, plan }: Rollback): string {
  const lines = [
    `${id}: ${state} (${code})`,
    `  ${plain(sentence)}`,
    `  application ${application}, commit ${badCommit.slice(0, 10)}, mode ${mode}`,
  ];
  if (plan !== null) lines.push(`  plan ${plan.hash}: ${plan.kind}, changes ${plan.changed.map(plain).join(', ')}`);
  return `${lines.join('\n')}\n`;
}

function shownPreview({ application, badCommit, mode, code, sentence, plan, guards }: RollbackPreview): string {
  const lines = [`${application}, commit ${badCommit.slice(0, 10)}, mode ${mode}: ${code}`, plain(sentence)];
  if (plan !== null) {
    lines.push(`${plan.kind} on ${plan.head.slice(0, 10)}, plan ${plan.hash}`);
    if (plan.undoes.length > 0) lines.push(`takes back: ${plan.undoes.map((commit) => commit.slice(0, 10)).join(', ')}`);
    for (const [what, list] of [
      ['keeps', plan.kept],
      ['also changes', plan.joint],
      ['deletes', plan.prunes],
      ['bots', plan.automation],
    ] as const) {
      if (list.length > 0) lines.push(`${what}: ${list.map(plain).join(', ')}`);
    }
    lines.push('', ...plan.diff.split('\n').map((line) => line.replaceAll(/\p{Cc}/gu, ' ').trimEnd()));
  }
  for (const guard of guards)
    lines.push(`held by ${guard.code}${guard.approvable ? ' (approvable)' : ''}: ${plain(guard.sentence)}`);
  return `${lines.join('\n').trimEnd()}\n`;
}

/** The commands around rollbacks, by name. */
export const rollbackCommands = {
  rollback: rollbackWith,
  rollbacks: rollbacksWith,
  approve: approveWith,
  refuse: refuseWith,
} as const;
