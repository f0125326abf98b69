import type { JournalEntry, StoredRecord } from '../store/port.ts';
import { alertIdOf, type Notice } from './notice.ts';
import { alertIn, type AlertRecord, type Firing } from './record.ts';

/** The revision that was live when an alert began, or why that is not known. */
export type Live = { revision: string; since: number } | { unknown: 'revision_unknown' } | { failed: string; sentence: string };

/** What a notice makes of the alert's record, with the entry that says so. */
export interface Decision {
  next: AlertRecord;
  entry: JournalEntry;
}

/** What a decision is made from, besides the notice. */
export interface Situation {
  /** The alert's record as it is stored. */
  record: StoredRecord | undefined;
  /** Id of the webhook record whose job this is. */
  webhook: string;
  /** The application is configured. */
  configured: boolean;
  /** The webhook did not name all of its alerts. */
  truncated: boolean;
  /** Milliseconds since the epoch. */
  now: number;
}

/** Whether the revision that was live has to be known to decide. */
export function needsLive(notice: Notice, { record, configured }: Situation): boolean {
  return notice.status === 'firing' && notice.ignored === null && configured && record === undefined;
}

/**
 * What follows from a notice; null where its record says it already. Nothing here depends on the order of arrival: an end
 * that came before its beginning is the end all the same.
 */
export function decide(notice: Notice, situation: Situation, live: Live | null): Decision | null {
  const known = situation.record === undefined ? null : alertIn(situation.record);
  const toldBefore = (notice.status === 'resolved' ? known?.resolved : known?.firing) ?? null;
  if (toldBefore !== null) return null;
  if (notice.status === 'resolved') return ended(notice, situation, known);
  const firing = began(notice, situation, known, live);
  return {
    next: { application: notice.application, alert: notice.alert, resolved: null, ...known, firing },
    entry: entryOf(notice, situation, {
      event: `alert.${firing.outcome}`,
      code: firing.code,
      sentence: sentenceOfFiring(notice, firing, live),
      details: { revision: firing.revision, ...(firing.outcome === 'analysis' && { analysis: alertIdOf(notice) }) },
    }),
  };
}

/** The record after its consequence: done, or failed for good. */
export function afterwards(record: AlertRecord, failure: { code: string } | null): AlertRecord {
  if (record.firing === null) return record;
  return {
    ...record,
    firing: { ...record.firing, done: true, ...(failure !== null && { outcome: 'failed' as const, code: failure.code }) },
  };
}

/** For an alert whose consequence was refused for good. */
export function failureEntry(notice: Notice, situation: Situation, failure: { code: string; sentence: string }): JournalEntry {
  return entryOf(notice, situation, {
    event: 'alert.failed',
    code: failure.code,
    sentence: `${named(notice)} could not be acted on: ${failure.sentence}`,
    details: {},
  });
}

/** The sentence that goes with a rollback. */
export function rollbackSentence({ alert }: Notice): string {
  return `alert ${alert.name} began to fire at ${alert.startsAt}; the configuration trusts it`;
}

function began(notice: Notice, { webhook, configured, now }: Situation, known: AlertRecord | null, live: Live | null): Firing {
  const decided = (outcome: Firing['outcome'], code: string, more: Partial<Firing> = {}): Firing => ({
    at: new Date(now).toISOString(),
    webhook,
    outcome,
    code,
    revision: null,
    liveSince: null,
    done: true,
    ...more,
  });
  if (notice.ignored !== null) return decided('ignored', notice.ignored);
  if ((known?.resolved ?? null) !== null) return decided('ignored', 'resolved_already');
  if (!configured) return decided('ignored', 'application_unknown');
  if (live === null || 'unknown' in live) return decided('revision_unknown', 'revision_unknown');
  if ('failed' in live) return decided('failed', live.failed);
  const revision = { revision: live.revision, liveSince: live.since, done: false };
  return notice.consequence === 'rollback'
    ? decided('rollback', 'alert_trusted', revision)
    : decided('analysis', 'alert_matched', revision);
}

function ended(notice: Notice, situation: Situation, known: AlertRecord | null): Decision {
  const { now } = situation;
  const seen = (known?.firing ?? null) !== null;
  const end = notice.endsAt === null ? '' : ` at ${notice.endsAt}`;
  const stale = notice.ignored === 'too_old' || notice.ignored === 'in_future';
  const code = stale ? String(notice.ignored) : seen ? 'resolved' : 'resolved_unseen';
  return {
    next: {
      firing: null,
      ...known,
      application: notice.application,
      alert: notice.alert,
      resolved: { at: new Date(now).toISOString(), endsAt: notice.endsAt },
    },
    entry: entryOf(notice, situation, {
      event: 'alert.resolved',
      code,
      sentence: `${named(notice)} ended${end}${seen ? '' : '; that it began was not told before'}; nothing follows from that`,
      details: { endsAt: notice.endsAt },
    }),
  };
}

const IGNORED: Readonly<Record<string, string>> = {
  configured: 'the configuration says to ignore it',
  too_old: 'it began too long ago to be acted on (alerts.window)',
  in_future: 'it began in the future, so a clock is wrong',
  resolved_already: 'that it ended was told before, so it is over',
  application_unknown: 'the configuration no longer has this application',
};

function sentenceOfFiring(notice: Notice, { outcome, code, revision }: Firing, live: Live | null): string {
  switch (outcome) {
    case 'analysis':
      return `${named(notice)} fires; revision ${revision ?? ''} was live when it began and is analysed`;
    case 'rollback':
      return `${named(notice)} fires and is trusted; the rollback of revision ${revision ?? ''}, which was live when it began, is asked for`;
    case 'revision_unknown':
      return `${named(notice)} fires, but which revision was live when it began is not known; nothing is done`;
    case 'failed': {
      const sentence = live !== null && 'failed' in live ? live.sentence : code;
      return `${named(notice)} fires, but which revision was live when it began cannot be told: ${sentence}`;
    }
    case 'ignored':
      return `${named(notice)} is not acted on: ${IGNORED[code] ?? code}`;
  }
}

function named({ alert }: Notice): string {
  return `alert ${alert.name} (${alert.fingerprint})`;
}

function entryOf(
  notice: Notice,
  { now, truncated }: Situation,
  what: Pick<JournalEntry, 'event' | 'code' | 'sentence' | 'details'>,
): JournalEntry {
  const { application, alert } = notice;
  const { name, fingerprint, startsAt, labels } = alert;
  // An alert says nothing about those that the sender left out.
  const incomplete = truncated ? { incomplete: true } : {};
  const details = { alert: name, fingerprint, startsAt, labels, ...incomplete, ...what.details };
  return { ...what, at: now, application, subject: alertIdOf(notice), details };
}
