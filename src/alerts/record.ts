import type { RecordWrite, StoredRecord } from '../store/port.ts';
import type { AlertFacts } from './actions.ts';
import { alertIdOf, type Notice } from './notice.ts';

/** What was taken in and waits for its job; the notices go when they have been acted on. */
export interface StoredWebhook {
  receivedAt: string;
  /** Alerts that the Alertmanager left out, so that what is here is not all. */
  truncated: number;
  count: number;
  notices: readonly Notice[];
}

/** What the beginning of an alert led to. */
export interface Firing {
  at: string;
  /** Id of the webhook record whose job decided it, and goes on with it after a crash. */
  webhook: string;
  outcome: 'analysis' | 'rollback' | 'ignored' | 'revision_unknown' | 'failed';
  code: string;
  /** The revision that was live then, and since when (milliseconds since the epoch). */
  revision: string | null;
  liveSince: number | null;
  /** False between the decision and its consequence. */
  done: boolean;
}

/** One alert of one application, from its beginning to its end. */
export interface AlertRecord {
  application: string;
  alert: AlertFacts;
  firing: Firing | null;
  resolved: { at: string; endsAt: string | null } | null;
}

/**
 * A notice as it is stored: a list without names, which is less than half as long, and every byte of a burst is written.
 * What is most often empty stands at the end, and is left out then.
 */
type NoticeRow = [
  application: string,
  consequence: Notice['consequence'],
  status: Notice['status'],
  name: string,
  fingerprint: string,
  startsAt: string,
  endsAt?: string | null,
  ignored?: Notice['ignored'],
  labels?: AlertFacts['labels'],
];

type WebhookRow = Omit<StoredWebhook, 'notices'> & { notices: readonly NoticeRow[] };

function toRow({ application, consequence, status, alert, endsAt, ignored }: Notice): NoticeRow {
  const { name, fingerprint, startsAt, labels } = alert;
  for (const _label in labels) return [application, consequence, status, name, fingerprint, startsAt, endsAt, ignored, labels];
  if (endsAt === null && ignored === null) return [application, consequence, status, name, fingerprint, startsAt];
  return [application, consequence, status, name, fingerprint, startsAt, endsAt, ignored];
}

function fromRow([application, consequence, status, name, fingerprint, startsAt, ...more]: NoticeRow): Notice {
  const [endsAt = null, ignored = null, labels = {}] = more;
  return { application, consequence, alert: { name, fingerprint, startsAt, labels }, status, endsAt, ignored };
}

/** Records are written by this room only, so their shape is known. */
export function webhookIn(record: StoredRecord): StoredWebhook {
  const { notices, ...rest } = record.value as WebhookRow;
  return { ...rest, notices: notices.map(fromRow) };
}

export function alertIn(record: StoredRecord): AlertRecord {
  return record.value as AlertRecord;
}

/** Whether the record says already what the notice says. */
export function isKnown(notice: Notice, record: StoredRecord | undefined): boolean {
  if (record === undefined) return false;
  const { firing, resolved } = alertIn(record);
  return notice.status === 'firing' ? firing !== null : resolved !== null;
}

export function webhookWrite(
  id: string,
  webhook: StoredWebhook,
  { expect, createdAt, open }: { expect: number; createdAt: number; open: boolean },
): RecordWrite {
  const value: WebhookRow = { ...webhook, notices: webhook.notices.map(toRow) };
  return { kind: 'webhook', id, expect, createdAt, index: { state: open ? 'waiting' : 'handled', open }, value };
}

/** Never open: a sender that tells no ends would keep such records for ever; what is left to do stands in the webhook's. */
export function alertWrite(notice: Notice, value: AlertRecord, expect: number, createdAt: number): RecordWrite {
  const index = { application: value.application, state: value.resolved === null ? 'firing' : 'resolved', open: false };
  return { kind: 'alert', id: alertIdOf(notice), expect, createdAt, index, value };
}
