import { createHash } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { CodedError } from '../../errors.ts';
import type { Access } from './access.ts';
import type { ResourceKind } from './problem.ts';
import { EVENTS } from './resources.ts';

/** Everything that davylamp writes to an object stands under this prefix; docs/reference/delivery-kubernetes.md lists it. */
export const ANNOTATION_PREFIX = 'davylamp.io/';
const EVENT_REASON = 'DavylampRollback';
const MAX_VALUE = 1_000;
const MAX_MESSAGE = 1_000;
const MAX_EVENT_NAME = 253;
const KEY = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export interface Note {
  revision: string;
  rollback: string;
  values: Readonly<Record<string, string | null>>;
}

/**
 * Annotates the object (never its pod template, which would begin a release) and leaves an Event beside it. Both are
 * the same however often they are written: the Event has a name that is made from what it says.
 */
export async function writeNote(
  access: Access,
  resource: ResourceKind,
  note: Note,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const address = access.address(resource);
  const body = { metadata: { annotations: annotationsOf(note) } };
  const answer = await access.cluster.patch(address, { body, subresource: null }, access.timeoutMs, signal);
  if (!Object.values(note.values).some((value) => value !== null)) return;
  const event = eventOf(note, { ...address, uid: uidIn(answer) }, new Date(clock.now()).toISOString());
  const place = access.address(EVENTS, event.metadata.name);
  // The annotations are what counts; without the right to create events there are none.
  await access.orNull(() => access.cluster.create(place, event, access.timeoutMs, signal));
}

function annotationsOf({ values }: Note): Record<string, string | null> {
  const entries = Object.entries(values).map(([name, value]): [string, string | null] => {
    if (!KEY.test(name) || name === 'revision') {
      throw new CodedError(
        'delivery_unsupported',
        `"${name}" cannot be an annotation of davylamp; use letters, digits, - _ and .`,
      );
    }
    return [ANNOTATION_PREFIX + name, value === null ? null : clean(value, MAX_VALUE)];
  });
  return Object.fromEntries(entries);
}

function eventOf(
  { revision, rollback, values }: Note,
  object: { resource: ResourceKind; namespace: string; name: string; uid: string | undefined },
  at: string,
) {
  const { resource, namespace, name, uid } = object;
  const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
  const said = JSON.stringify([
    resource.kind,
    namespace,
    name,
    uid,
    rollback,
    Object.entries(values)
      .map((entry) => entry.join('='))
      .toSorted(byText),
  ]);
  const suffix = `.davylamp-${createHash('sha256').update(said).digest('hex').slice(0, 16)}`;
  const reason = values['reason'] ?? 'the release failed its analysis';
  const revert = values['revert-commit'];
  const message = `rollback ${rollback} of ${revision}${revert === undefined || revert === null ? '' : `, reverted by ${revert}`}: ${reason}`;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: name.slice(0, MAX_EVENT_NAME - suffix.length) + suffix, namespace },
    involvedObject: { apiVersion, kind: resource.kind, name, namespace, ...(uid === undefined ? {} : { uid }) },
    type: 'Warning',
    reason: EVENT_REASON,
    message: clean(message, MAX_MESSAGE),
    source: { component: 'davylamp' },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
  };
}

function clean(text: string, length: number): string {
  const line = text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

function uidIn(answer: unknown): string | undefined {
  const metadata: unknown = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'metadata') : undefined;
  const uid: unknown = typeof metadata === 'object' && metadata !== null ? Reflect.get(metadata, 'uid') : undefined;
  return typeof uid === 'string' ? uid : undefined;
}

function byText(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
