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

/**
 * @param now milliseconds since the epoch
 * @returns one notice for each application that the alert concerns
 */
export function noticesOf(alert: AlertmanagerAlert, routes: readonly Route[], rules: NoticeRules, now: number): Notice[] {
  const startsAt = Date.parse(alert.startsAt);
  const ended = alert.endsAt === undefined ? null : Date.parse(alert.endsAt);
  const end = ended === null || ended <= startsAt ? null : ended;
  const status = alert.status ?? (end !== null && end <= now ? 'resolved' : 'firing');
  const { fingerprint = fingerprintOf(alert.labels) } = alert;
  const facts: AlertFacts = {
    name: shown(own(alert.labels, 'alertname') ?? '') || 'unnamed',
    fingerprint,
    startsAt: new Date(startsAt).toISOString(),
    labels: shownOf(alert.labels, rules.shownLabels),
  };
  const told = status === 'firing' ? startsAt : (end ?? now);
  const untimely = told < now - rules.windowMs ? 'too_old' : told > now + MAX_AHEAD_MS ? 'in_future' : null;
  const endsAt = status === 'firing' || end === null ? null : new Date(end).toISOString();
  return routes.map(({ application, consequence }) => {
    const ignored = untimely ?? (consequence === 'ignore' ? 'configured' : null);
    return { application, consequence, alert: facts, status, endsAt, ignored };
  });
}

/** Two notices with the same key say the same, whatever webhook, group or Alertmanager they came with. */
export function keyOf({ application, alert, status }: Notice): string {
  return `${application}\n${alert.fingerprint}\n${alert.startsAt}\n${status}`;
}

/** The id of the alert's record and of what it leads to: one for an application, a fingerprint and a beginning. */
export function alertIdOf({ application, alert }: Notice): string {
  return `alert-${digest(`${application}\n${alert.fingerprint}\n${alert.startsAt}`)}`;
}

/** The id of the record of some notices: it follows from what they say, so that two processes give the same. */
export function webhookIdOf(keys: readonly string[]): string {
  return `webhook-${digest(keys.toSorted().join('\n\n'))}`;
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
