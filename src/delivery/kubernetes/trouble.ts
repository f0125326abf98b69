import type { DeliveryState } from '../port.ts';
import type { Pod } from './resources.ts';

/** Restarts after which a container that fails again is looping, even between two back-offs. */
const LOOPING_RESTARTS = 3;
const IMAGE_REASONS: ReadonlySet<string> = new Set([
  'ErrImagePull',
  'ImagePullBackOff',
  'RegistryUnavailable',
  'ErrImageNeverPull',
  'ImageInspectError',
]);
const SHORT_ID = 12;

type Trouble = NonNullable<DeliveryState['trouble']>;

/**
 * Whether there is positive evidence that exactly this revision does not live. What the other side suffers as well, and
 * what a registry, a scheduler or a node does to pods, is no fault of the release; neither is what cannot be seen.
 *
 * @param own pods of the revision; null when they cannot be seen
 * @param other pods of the side that it is compared with; null when they cannot be seen
 */
export function troubleOf(
  revision: string,
  facts: { own: readonly Pod[] | null; other: readonly Pod[] | null; deadlineExceeded: boolean },
): Trouble | null {
  const own = living(facts.own ?? []);
  const other = living(facts.other ?? []);
  const short = revision.slice(0, SHORT_ID);
  const looping = own.filter(isLooping).length;
  const shared = other.some(isLooping);
  if (shared) return null;
  if (looping > 0 && looping * 2 >= own.length && other.some(isReady)) {
    const sentence = `${looping} of ${own.length} pods of ${short} are in a crash loop, and none of the ${other.length} of the other side is`;
    return { revision, code: 'crash_loop', sentence };
  }
  if (!facts.deadlineExceeded) return null;
  const unready = own.filter((pod) => !isReady(pod));
  if (unready.length > 0 && unready.every(isStuckOutside)) return null;
  // The other side has pods and none of them is ready: whatever it is, it is not the release alone.
  if (other.length > 0 && !other.some(isReady)) return null;
  return { revision, code: 'progress_deadline_exceeded', sentence: `${short} did not become ready within its progress deadline` };
}

function living(pods: readonly Pod[]): Pod[] {
  return pods.filter(({ metadata, status }) => metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded');
}

function containersOf({ status }: Pod) {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

function isLooping(pod: Pod): boolean {
  return containersOf(pod).some(({ ready, restartCount, state, lastState }) => {
    if (state?.waiting?.reason === 'CrashLoopBackOff') return true;
    const failed = state?.terminated ?? lastState?.terminated;
    return ready !== true && (restartCount ?? 0) >= LOOPING_RESTARTS && (failed?.exitCode ?? 0) !== 0;
  });
}

function isReady({ status }: Pod): boolean {
  return status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true;
}

/** Waits for its image or for a node, or its node is gone. */
function isStuckOutside(pod: Pod): boolean {
  const { status } = pod;
  if (status?.reason === 'NodeLost' || status?.reason === 'Evicted') return true;
  if (status?.conditions?.some(({ type, status: value }) => type === 'PodScheduled' && value === 'False') === true) return true;
  return containersOf(pod).some(({ state }) => IMAGE_REASONS.has(state?.waiting?.reason ?? ''));
}
