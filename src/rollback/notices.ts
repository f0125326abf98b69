import type { Notice } from '../notify/port.ts';
import type { ChainedEntry } from '../store/port.ts';
import type { Rollback } from './record.ts';
import { short } from './transitions.ts';

/** Held by the fleet breaker, many rollbacks are one incident: one page, not forty. */
const FLEET = 'fleet_breaker';
/** Ends that leave something bad in production, or nobody knowing. */
const PAGES: ReadonlySet<string> = new Set(['rollback.not_recovered', 'rollback.failed', 'rollback.returned']);
/** A failing release that nobody takes out: a guard holds, or something is in the way. */
const WAITS: ReadonlySet<string> = new Set(['rollback.held', 'rollback.stuck']);
const WARNS: ReadonlySet<string> = new Set(['rollback.pushed', 'rollback.proposed', 'rollback.refused']);

const TITLES: Readonly<Record<string, (about: { bad: string; branch: string }) => string>> = {
  'rollback.decided': ({ bad }) => `${bad} is bad; a rollback is decided`,
  'rollback.planned': ({ bad }) => `what would be done about ${bad}`,
  'rollback.held': ({ bad }) => `the rollback of ${bad} is held and needs a person`,
  'rollback.stuck': ({ bad }) => `the rollback of ${bad} does not get on`,
  'rollback.executing': ({ bad }) => `${bad} is being rolled back`,
  'rollback.approved': ({ bad }) => `the rollback of ${bad} was approved`,
  'rollback.pushed': ({ bad, branch }) => `${bad} is taken out of ${branch}`,
  'rollback.proposed': ({ bad }) => `a revert of ${bad} is proposed`,
  'rollback.synced': ({ bad }) => `${bad} no longer runs`,
  'rollback.recovered': ({ bad }) => `the metrics came back after ${bad} was taken out`,
  'rollback.not_recovered': ({ bad }) => `taking ${bad} out did not help`,
  'rollback.refused': ({ bad }) => `the rollback of ${bad} is refused`,
  'rollback.failed': ({ bad }) => `the rollback of ${bad} failed`,
  'rollback.returned': ({ bad, branch }) => `${bad} is on ${branch} again`,
};

/**
 * Everything that is told of a rollback, oldest first, from its journal: the same entries give the same notices, ids
 * included. A guard that holds while a canary is failing pages at once (design 5.11).
 *
 * @param urls where people look; null without an address of davylamp
 */
export function noticesOf(rollback: Rollback, entries: readonly ChainedEntry[], url: string | null): Notice[] {
  let fleet: string | null = null;
  return entries.flatMap((entry) => {
    const title = TITLES[entry.event];
    if (title === undefined) return [];
    const notice = noticeOf(rollback, entry, title, url);
    const before = fleet;
    fleet = fleetOf(entry) ?? (WAITS.has(entry.event) ? fleet : null);
    return before === null || fleet !== null ? [notice] : [overOf(notice, before), notice];
  });
}

/** Somebody has seen to rollbacks that were held together: what was opened for all of them can be closed. */
function overOf(notice: Notice, fleet: string): Notice {
  const title = `${notice.application}: the first of the rollbacks that were held together goes on`;
  return { ...notice, id: `${fleet}-over`, incident: fleet, urgency: 'info', title };
}

function fleetOf({ code, details }: ChainedEntry): string | null {
  return code === FLEET && typeof details['fleet'] === 'string' ? details['fleet'] : null;
}

function noticeOf(
  rollback: Rollback,
  entry: ChainedEntry,
  title: (about: { bad: string; branch: string }) => string,
  url: string | null,
): Notice {
  const { application, branch, badCommit, proposal, mode } = rollback;
  const { event, code, sentence, at, details } = entry;
  const fleet = fleetOf(entry);
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    id: fleet === null ? `${rollback.id}-${entry.number}` : `${fleet}-held`,
    incident: fleet ?? rollback.id,
    application,
    event,
    code,
    urgency: urgencyOf(rollback, event),
    title: `${application}: ${title({ bad: short(badCommit), branch })}`,
    sentence,
    at,
    facts: {
      'bad commit': badCommit,
      'revert commit': text(details['revertCommit']),
      branch,
      mode: text(details['mode']) ?? mode,
    },
    links: {
      ...(url !== null && { rollback: url }),
      ...(proposal !== null && { 'pull request': proposal.url }),
    },
  };
}

function urgencyOf({ mode, trigger }: Rollback, event: string): Notice['urgency'] {
  if (PAGES.has(event)) return 'page';
  // Who asked for it by hand is looking already.
  if (WAITS.has(event)) return mode === 'shadow' ? 'info' : trigger === 'manual' ? 'warn' : 'page';
  return WARNS.has(event) && mode !== 'shadow' ? 'warn' : 'info';
}
