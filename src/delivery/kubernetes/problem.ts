import { CodedError } from '../../errors.ts';

/** A kind of object, as the addresses of the Kubernetes API name it. */
export interface ResourceKind {
  /** Empty for the core group. */
  group: string;
  version: string;
  plural: string;
  kind: string;
  /** Who brings the kind into a cluster. */
  of: string;
}

export interface Call {
  cluster: string;
  /** `promote` is a right of Kargo's own, and no call. */
  verb: 'get' | 'list' | 'patch' | 'create' | 'promote';
  resource: ResourceKind;
  subresource: 'status' | null;
  namespace: string;
  /** Null for a list. */
  name: string | null;
}

/**
 * What the API server's refusal means to the person who has to mend it. The server's own words are left out: they
 * repeat what was sent, and a proxy in front of it may say anything.
 *
 * @param known whether the body is a `Status` of the Kubernetes API that names the object
 */
export function problemOf(status: number, call: Call, known: boolean): CodedError {
  const { cluster, resource, namespace } = call;
  const details = { cluster, status, verb: call.verb, resource: plural(call), group: resource.group, namespace };
  const object = `${resource.kind} ${namespace}/${call.name ?? '*'}`;
  // 408, 410 and 429 are of the moment, unlike the rest of the 4xx.
  if (status >= 500 || status === 408 || status === 410 || status === 429) {
    return new CodedError('cluster_failed', `${cluster} answered ${status} to ${call.verb} ${object}; it is asked again`, {
      retryable: true,
      details,
    });
  }
  switch (status) {
    case 401:
      return new CodedError(
        'cluster_unauthorized',
        `${cluster} does not know the credential that it is called with; check the token or the kubeconfig`,
        { details },
      );
    case 403:
      return new CodedError('cluster_forbidden', forbidden(call), { details: { ...details, rule: ruleOf(call) } });
    case 404:
      return new CodedError(
        'cluster_not_found',
        known
          ? `${cluster} has no ${object}; check the namespace and the name in the configuration`
          : `${cluster} does not know ${resource.plural} of ${apiOf(resource)}; install ${resource.of}, or check the address of the cluster`,
        { details },
      );
    case 409:
      return new CodedError(
        'cluster_conflict',
        `${object} in ${cluster} was changed by somebody else meanwhile; it is read again and decided anew`,
        { retryable: true, details },
      );
    default:
      return new CodedError(
        'cluster_refused',
        `${cluster} refused to ${call.verb} ${object} with ${status}; check that its version is supported and that nothing stands between`,
        { details },
      );
  }
}

/** The rule of a Role that would allow a call. */
export function ruleOf(call: Pick<Call, 'verb' | 'resource' | 'subresource'>): string {
  return `{apiGroups: ["${call.resource.group}"], resources: [${plural(call)}], verbs: [${call.verb}]}`;
}

function forbidden(call: Call): string {
  return (
    `${call.cluster} does not let davylamp ${call.verb} ${plural(call)} in namespace ${call.namespace}; ` +
    `add the rule ${ruleOf(call)} to its Role there`
  );
}

function plural({ resource, subresource }: Pick<Call, 'resource' | 'subresource'>): string {
  return subresource === null ? resource.plural : `${resource.plural}/${subresource}`;
}

function apiOf({ group, version }: ResourceKind): string {
  return group === '' ? version : `${group}/${version}`;
}
