import { createHash } from 'node:crypto';
import { sameCommit } from '../../analysis/revision.ts';
import type { Automation, Promoted } from '../port.ts';
import type { Access, KubernetesDependencies } from './access.ts';
import {
  KARGO_FREIGHTS,
  KARGO_PROMOTIONS,
  KARGO_STAGES,
  Freight,
  Promotion,
  Stage,
  type FreightReference,
} from './kargo-objects.ts';
import { checked, readObject } from './resources.ts';
import { need, type Need } from './rights.ts';
import type { Cluster } from './cluster.ts';
import type { Kargo } from './schema.ts';

const ROLLBACK = 'davylamp.io/rollback';
const BAD_COMMIT = 'davylamp.io/bad-commit';
const STAGE_LABEL = 'kargo.akuity.io/stage';
/** Longer names are shortened in labels, in a way that is Kargo's own. */
const MAX_LABEL = 63;
/** Kargo keeps ten selections of Freight. */
const MOST_EARLIER = 10;
const MAX_DEPTH = 12;
const MAX_VALUES = 5_000;
const ENDED_BADLY: ReadonlySet<string> = new Set(['Failed', 'Errored', 'Aborted']);
const NOT_VERIFIED: ReadonlySet<string> = new Set(['Failed', 'Error', 'Aborted', 'Inconclusive']);
/** Crockford's base 32, as ULIDs are written; in lower case, for names of objects. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

export interface KargoStage {
  automation: Automation;
  promotePrevious(order: { commit: string; rollback: string }, signal: AbortSignal): Promise<Promoted>;
  rights: { cluster: Cluster; namespace: string; needs: readonly Need[] };
}

/**
 * A Stage of Kargo. What it promoted before is brought back by a Promotion of the Freight that was there before, as a person
 * does it in its UI: Kargo then knows what runs, holds its own auto-promotion, and writes into Git itself. A Freight counts only
 * where Kargo has verified it in this Stage, and nothing happens unless the Freight that is there made exactly the commit
 * that is to be taken out (akuity/kargo, api/v1alpha1: stage_types.go, promotion_types.go, freight_types.go).
 */
export function kargoStage(
  { namespace, stage: name, cluster: clusterName }: Kargo,
  workloadCluster: string | undefined,
  { timeoutMs }: Pick<Access, 'timeoutMs'>,
  { clusters, clock }: Pick<KubernetesDependencies, 'clusters' | 'clock'>,
): KargoStage {
  const cluster = clusters.named(clusterName ?? workloadCluster);
  const shown = `Kargo stage ${namespace}/${name}`;

  /** The Promotion that was made for a rollback; whoever tries again must not promote twice. */
  async function known(rollback: string, signal: AbortSignal): Promise<Promotion | 'unclear' | null> {
    const labels = name.length <= MAX_LABEL ? `${STAGE_LABEL}=${name}` : '';
    const { items, complete } = await cluster.list(KARGO_PROMOTIONS, namespace, labels, timeoutMs, signal);
    for (const item of items) {
      const promotion = checked(cluster, KARGO_PROMOTIONS, 'list', item, Promotion);
      if (promotion.spec.stage === name && promotion.metadata.annotations?.[ROLLBACK] === rollback) return promotion;
    }
    return complete ? null : 'unclear';
  }

  /** The Freight whose promotion wrote the commit, with the place that it came from; null when that was another one. */
  async function madeBy(stage: Stage, commit: string, signal: AbortSignal): Promise<[string, FreightReference] | null> {
    const [current] = stage.status?.freightHistory ?? [];
    const items = Object.entries(current?.items ?? {});
    const direct = items.find(([, { commits }]) => commits?.some(({ id }) => id !== undefined && sameCommit(id, commit)));
    if (direct !== undefined) return direct;
    const last = stage.status?.lastPromotion;
    const promoted = items.find(([, freight]) => freight.name === last?.freight?.name);
    if (last === undefined || last === null || promoted === undefined) return null;
    const address = { resource: KARGO_PROMOTIONS, namespace, name: last.name };
    const { status } = await readObject(cluster, address, Promotion, timeoutMs, signal);
    return status?.phase === 'Succeeded' && names([status.state, status.healthChecks], commit) ? promoted : null;
  }

  /** The newest Freight from the same place that Kargo has verified here before. */
  async function before(stage: Stage, [origin, bad]: [string, FreightReference], signal: AbortSignal): Promise<string | null> {
    const seen = new Set([bad.name]);
    for (const { items = {}, verificationHistory } of (stage.status?.freightHistory ?? []).slice(1, 1 + MOST_EARLIER)) {
      const freight = items[origin]?.name;
      if (freight === undefined || seen.has(freight)) continue;
      seen.add(freight);
      if (NOT_VERIFIED.has(verificationHistory?.[0]?.phase ?? '')) continue;
      const address = { resource: KARGO_FREIGHTS, namespace, name: freight };
      const { status } = await readObject(cluster, address, Freight, timeoutMs, signal);
      if (status?.verifiedIn?.[name] !== undefined) return freight;
    }
    return null;
  }

  return {
    automation: { type: 'kargo', name: shown, pastGit: false },
    rights: {
      cluster,
      namespace,
      needs: [
        need('get', KARGO_STAGES, 'no previous Freight is promoted'),
        need('get', KARGO_FREIGHTS, 'no previous Freight is promoted'),
        need('get', KARGO_PROMOTIONS, 'it is not known which Freight made a commit'),
        need('list', KARGO_PROMOTIONS, 'no previous Freight is promoted'),
        need('create', KARGO_PROMOTIONS, 'no previous Freight is promoted'),
        need('promote', KARGO_STAGES, 'Kargo refuses its Promotions'),
      ],
    },
    async promotePrevious({ commit, rollback }, signal) {
      const earlier = await known(rollback, signal);
      if (earlier === 'unclear') {
        return { outcome: 'not_current', sentence: `${shown} has too many Promotions to be sure that none was made` };
      }
      if (earlier !== null) {
        const { freight } = earlier.spec;
        const phase = earlier.status?.phase ?? 'Pending';
        const sentence = `Promotion ${earlier.metadata.name} of Freight ${freight} is ${phase}`;
        return { outcome: ENDED_BADLY.has(phase) ? 'failed' : 'already', sentence };
      }
      const address = { resource: KARGO_STAGES, namespace, name };
      const stage = await readObject(cluster, address, Stage, timeoutMs, signal);
      const current = stage.status?.currentPromotion;
      if (current !== undefined && current !== null) {
        return { outcome: 'not_current', sentence: `${shown} is in the middle of Promotion ${current.name}` };
      }
      const made = await madeBy(stage, commit, signal);
      if (made === null) {
        const sentence = `the Freight that is in ${shown} did not make commit ${commit.slice(0, 10)}`;
        return { outcome: 'not_current', sentence };
      }
      const freight = await before(stage, made, signal);
      const { steps = [], vars = [] } = stage.spec?.promotionTemplate?.spec ?? {};
      if (freight === null || steps.length === 0) {
        const why = freight === null ? 'has no earlier Freight that it has verified' : 'has no steps of promotion';
        return { outcome: 'not_current', sentence: `${shown} ${why}` };
      }
      const promotion = promotionName(name, freight, rollback, clock.now());
      const body = {
        apiVersion: 'kargo.akuity.io/v1alpha1',
        kind: 'Promotion',
        metadata: { name: promotion, namespace, annotations: { [ROLLBACK]: rollback, [BAD_COMMIT]: commit } },
        // Newer versions of Kargo fill both in from the Stage; with older ones a Promotion without steps did nothing.
        spec: { stage: name, freight, vars: [...(stage.spec?.vars ?? []), ...vars], steps },
      };
      await cluster.create({ resource: KARGO_PROMOTIONS, namespace, name: promotion }, body, timeoutMs, signal);
      const sentence = `${shown} was asked to promote Freight ${freight} again, which it had verified before ${made[1].name}`;
      return { outcome: 'promoted', sentence };
    },
  };
}

/** Whether the commit stands anywhere in what the steps of a Promotion left behind. */
function names(left: unknown, commit: string): boolean {
  let seen = 0;
  const walk = (value: unknown, depth: number): boolean => {
    seen += 1;
    if (seen > MAX_VALUES || depth > MAX_DEPTH) return false;
    if (typeof value === 'string') return /^[0-9a-f]{40,64}$/i.test(value) && sameCommit(value.toLowerCase(), commit);
    if (typeof value !== 'object' || value === null) return false;
    return Object.values(value).some((inner) => walk(inner, depth + 1));
  };
  return walk(left, 0);
}

/** As Kargo names Promotions, by which it also sorts them: STAGE.ULID.FREIGHT. */
function promotionName(stage: string, freight: string, rollback: string, now: number): string {
  let time = '';
  for (let at = now, digit = 0; digit < 10; digit += 1, at = Math.floor(at / 32)) time = (ALPHABET[at % 32] ?? '0') + time;
  const random = createHash('sha256').update(`${rollback} ${freight}`).digest();
  const rest = [...random.subarray(0, 16)].map((byte) => ALPHABET[byte % 32] ?? '0').join('');
  return `${stage.slice(0, 218).replace(/[.-]+$/, '')}.${time}${rest}.${freight.slice(0, 7)}`;
}
