import { createHash } from 'node:crypto';
import type { AlertFacts } from './actions.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { Labels, Route } from './routing.ts';
import type { Consequence } from './settings.ts';
import type { AlertmanagerAlert } from './webhook.ts';

/** That one alert began or ended, for one application: what is kept of a webhook. Plain JSON. */
export interface Notice {
  application: string;
  consequence: Consequence;
  alert: AlertFacts;
  status: 'firing' | 'resolved';
  /** ISO 8601; null while it fires, or when the sender does not say. */
  endsAt: string | null;
  /** Why it is not acted on, as far as that is known when it arrives. */
  ignored: 'configured' | 'too_old' | 'in_future' | null;
}

const MAX_TEXT = 200;
/** `endsAt` while an alert fires: the zero time of Go. */
const STILL_FIRING = '0001-01-01T00:00:00Z';
/** A clock of another machine may be ahead by so much. */
const MAX_AHEAD_MS = 3_600_000;
const PLAIN = /^[!-~]([ -~]{0,198}[!-~])?$/;
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu;

/** How the alerts of a webhook become notices. */
export interface NoticeRules {
  /** An alert that began, or ended, longer ago is not acted on. */
  windowMs: number;
  /** Names of labels whose values may be shown. */
  shownLabels: readonly string[];
}

const NO_LABELS: Readonly<Record<string, string>> = Object.freeze({});

/** What all notices of one alert have in common. */
export type Told = Omit<Notice, 'application' | 'consequence'> & {
  /** When it began, milliseconds since the epoch. */
  began: number;
};

/**
 * What an alert says, whichever applications it concerns.
 *
 * @param now milliseconds since the epoch
 */
export function told(alert: AlertmanagerAlert, rules: NoticeRules, now: number): Told {
  const startsAt = Date.parse(alert.startsAt);
  const ended = alert.endsAt === undefined || alert.endsAt === STILL_FIRING ? startsAt : Date.parse(alert.endsAt);
  const end = ended <= startsAt ? null : ended;
  const status = alert.status ?? (end !== null && end <= now ? 'resolved' : 'firing');
  const at = status === 'firing' ? startsAt : (end ?? now);
  return {
    began: startsAt,
    alert: {
      name: shown(own(alert.labels, 'alertname') ?? '') || 'unnamed',
      fingerprint: alert.fingerprint ?? fingerprintOf(alert.labels),
      startsAt: isPlainTime(alert.startsAt) ? alert.startsAt : new Date(startsAt).toISOString(),
      labels: rules.shownLabels.length === 0 ? NO_LABELS : shownOf(alert.labels, rules.shownLabels),
    },
    status,
    endsAt: status === 'firing' || end === null ? null : new Date(end).toISOString(),
    ignored: at < now - rules.windowMs ? 'too_old' : at > now + MAX_AHEAD_MS ? 'in_future' : null,
  };
}

/** The same for one application. */
export function noticeFor({ application, consequence }: Route, { alert, status, endsAt, ignored }: Told): Notice {
  const why = ignored ?? (consequence === 'ignore' ? 'configured' : null);
  return { application, consequence, alert, status, endsAt, ignored: why };
}

/** Milliseconds and Z, as toISOString writes it and as Go does where the milliseconds do not end in 0. */
function isPlainTime(text: string): boolean {
  return text.length === 24 && text.endsWith('Z');
}

/** The id of the alert's record and of what it leads to: one for an application, a fingerprint and a beginning. */
export function alertIdOf({ application, alert }: Notice): string {
  return `alert-${digest(`${application}\n${alert.fingerprint}\n${alert.startsAt}`)}`;
}

/** The id of the record of some notices: it follows from what they say, so that two processes give the same. */
export function webhookIdOf(notices: readonly Notice[]): string {
  const texts: string[] = [];
  for (const { application, alert, status } of notices.toSorted(inOrder)) {
    texts.push(alert.fingerprint, alert.startsAt, status, application, '');
  }
  return `webhook-${digest(texts.join('\n'))}`;
}

function inOrder(one: Notice, other: Notice): number {
  return (
    compared(one.alert.fingerprint, other.alert.fingerprint) ||
    compared(one.alert.startsAt, other.alert.startsAt) ||
    compared(one.status, other.status) ||
    compared(one.application, other.application)
  );
}

function compared(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

function own(labels: Labels, name: string): string | undefined {
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

function shownOf(labels: Labels, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = own(labels, name);
      return value === undefined ? [] : [[name, shown(value)]];
    }),
  );
}

/** One line, of a length that fits a commit message and a chat. */
function shown(value: string): string {
  if (PLAIN.test(value)) return value;
  return value.slice(0, MAX_TEXT).replace(CONTROL, ' ').trim();
}
