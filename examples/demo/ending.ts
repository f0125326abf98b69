import type { Rollback } from './davylamp-client.ts';
import type { Narrator } from './narrator.ts';
import type { Outcome } from './outcome.ts';
import type { World } from './world.ts';

/** The last page of the story: what was decided, why, how fast, and the commit as a person would look at it. */
export async function tellEnding(
  world: World,
  narrator: Narrator,
  { outcome, rollback, version }: { outcome: Outcome; rollback: Rollback; version: string },
): Promise<void> {
  const served = world.traffic?.byVersion[version] ?? { requests: 0, serverErrors: 0 };
  const all = Object.values(world.traffic?.byVersion ?? {}).reduce((sum, totals) => sum + totals.requests, 0);
  const row = (name: string, text: string): void => narrator.line(`  ${name.padEnd(15)} ${text}`);
  narrator.act('The end');
  row('verdict', String(outcome.verdict));
  row('evidence', rollback.verdictSentence);
  row('bad commit', String(outcome.badCommit));
  row('revert commit', `${String(outcome.revertCommit)} (head of main at the remote)`);
  row('reverted', `${String(outcome.secondsToRevert)} s after the first bad request`);
  row('recovered', `${String(outcome.secondsToRecover)} s after the first bad request`);
  row('customers', `${String(served.serverErrors)} of ${String(all)} requests were answered with an error`);
  if (world.restarts > 0) row('restarts', `davylamp was killed and started again ${String(world.restarts)} time(s)`);
  narrator.line();
  const commit = await world.repository.show(String(outcome.revertCommit));
  for (const line of commit.split('\n')) narrator.line(`    ${line}`.trimEnd());
}

export function short(commit: string): string {
  return commit.slice(0, 7);
}

/** davylamp's reasons are joined by ";", one a metric; in the story the first is enough. */
export function firstReason(sentence: string): string {
  const [first = ''] = sentence.split('; ');
  return first.endsWith('.') ? first : `${first}.`;
}
