import type { Finding } from '../../finding.ts';
import { sentenceOf, codeOf } from '../../errors.ts';
import type { Access } from './access.ts';
import type { Cluster, ObjectAddress } from './cluster.ts';
import { ruleOf, type Call, type ResourceKind } from './problem.ts';
import { EVENTS, PODS, REPLICA_SETS } from './resources.ts';

/** One thing that must be allowed, and what is lost without it. */
export interface Need {
  verb: Call['verb'];
  resource: ResourceKind;
  subresource: Call['subresource'];
  without: string | null;
}

/** Something that must be allowed for the object itself, on no part of it. */
export const need = (verb: Need['verb'], resource: ResourceKind, without: string | null = null): Need => ({
  verb,
  resource,
  subresource: null,
  without,
});

/** What every delivery to Kubernetes reads beside its own object. */
export const COMMON_NEEDS: readonly Need[] = [
  need('list', REPLICA_SETS, 'only the newest revision is known, and nothing of earlier ones'),
  need('list', PODS, 'a crash loop is not seen'),
  need('create', EVENTS, 'no Event is written'),
];

export function objectNeeds(resource: ResourceKind, more: { abort: boolean; annotate: boolean }): Need[] {
  return [
    need('get', resource),
    ...(more.annotate ? [need('patch', resource)] : []),
    ...(more.abort ? [{ ...need('patch', resource), subresource: 'status' as const }] : []),
  ];
}

/** Asks the cluster what is allowed (SelfSubjectAccessReview, which everybody may create), and changes nothing. */
export async function examineRights(
  cluster: Cluster,
  place: Pick<ObjectAddress, 'namespace'>,
  needs: readonly Need[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const one of needs) {
    const allowed = await isAllowed(cluster, place.namespace, one, timeoutMs, signal);
    // A cluster without that question answers when the call is made.
    if (allowed === null) return findings;
    const what = `${one.verb} ${one.resource.plural}${one.subresource === null ? '' : `/${one.subresource}`} in ${place.namespace}`;
    if (allowed) findings.push({ status: 'ok', code: 'cluster_allowed', sentence: `${cluster.name} allows to ${what}` });
    else {
      const loss = one.without === null ? '' : `; without it ${one.without}`;
      findings.push({
        status: one.without === null ? 'fail' : 'warn',
        code: 'cluster_forbidden',
        sentence: `${cluster.name} does not allow to ${what}${loss}; add the rule ${ruleOf(one)}`,
      });
    }
  }
  return findings;
}

async function isAllowed(
  cluster: Cluster,
  namespace: string,
  { verb, resource, subresource }: Need,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean | null> {
  const resourceAttributes = {
    namespace,
    verb,
    group: resource.group,
    resource: resource.plural,
    ...(subresource !== null && { subresource }),
  };
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } };
  const answer = await cluster.review('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', body, timeoutMs, signal);
  if (answer.status !== 201 && answer.status !== 200) return null;
  const allowed = /"allowed"\s*:\s*(true|false)/.exec(answer.text)?.[1];
  return allowed === undefined ? null : allowed === 'true';
}

/** One look at the workload: whether it is there, and whether it says what it runs. */
export async function examineWorkload(access: Access, look: () => Promise<string | null>, signal: AbortSignal): Promise<Finding> {
  try {
    const declared = await look();
    if (declared !== null) {
      return { status: 'ok', code: 'revision_known', sentence: `the workload is there and declares revision ${declared}` };
    }
    return {
      status: 'warn',
      code: 'revision_unknown',
      sentence: `the workload is there and has no annotation ${access.annotation} that holds a commit; requests must name the revision, and nothing is aborted`,
    };
  } catch (error) {
    signal.throwIfAborted();
    return { status: 'fail', code: codeOf(error), sentence: sentenceOf(error) };
  }
}
