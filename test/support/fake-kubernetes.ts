import type { Behaviour, ReceivedRequest } from './fault-server.ts';

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    uid?: string;
    resourceVersion?: string;
    generation?: number;
    creationTimestamp?: string;
    annotations?: Record<string, string>;
    labels?: Record<string, string>;
    ownerReferences?: { uid: string }[];
  };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
}

/**
 * A Kubernetes API server in memory, as far as davylamp calls one: what it answers was captured from a real one
 * (test/fixtures/kubernetes/api-calls.json), and `src/delivery/kubernetes/fake.test.ts` replays that.
 */
export class FakeKubernetes {
  readonly objects = new Map<string, KubernetesObject>();
  /** Calls as `verb resource`, in their order. */
  readonly calls: string[] = [];
  /** Calls that are forbidden, as `verb resource` or `verb resource/status`. */
  readonly denied = new Set<string>();
  /** Plurals of kinds that the cluster does not have. */
  readonly absent = new Set<string>();
  /** Whether it answers what a caller may do, as a whole cluster does. */
  reviews = false;
  /** Runs before a patch is carried out, as somebody else who is quicker. */
  beforePatch: (() => void) | null = null;
  #version = 100;

  put(object: KubernetesObject, plural = `${object.kind.toLowerCase()}s`): KubernetesObject {
    const key = keyOf(object.apiVersion, object.metadata.namespace, plural, object.metadata.name);
    const before = this.objects.get(key);
    const metadata = { uid: `uid-${object.kind}-${object.metadata.name}`, ...before?.metadata, ...object.metadata };
    const stored = { ...object, metadata: { ...metadata, resourceVersion: String((this.#version += 1)) } };
    this.objects.set(key, stored);
    return stored;
  }

  get(apiVersion: string, plural: string, namespace: string, name: string): KubernetesObject | undefined {
    return this.objects.get(keyOf(apiVersion, namespace, plural, name));
  }

  /** Objects of a kind, in the order in which they came. */
  all(plural: string): KubernetesObject[] {
    return [...this.objects].filter(([key]) => key.includes(`/${plural}/`)).map(([, object]) => object);
  }

  handle(request: ReceivedRequest): Behaviour {
    const url = new URL(request.path, 'http://fake');
    if (this.reviews && url.pathname.endsWith('/selfsubjectaccessreviews')) return this.#review(request.body);
    const found = /^\/(api|apis\/[^/]+)\/([^/]+)\/namespaces\/([^/]+)\/([a-z]+)(?:\/([^/]+))?(?:\/(status))?$/.exec(url.pathname);
    if (found === null) return { kind: 'answer', status: 404, body: '404 page not found\n' };
    const [, root = '', version = '', namespace = '', plural = '', name, subresource] = found;
    const apiVersion = root === 'api' ? version : `${root.slice('apis/'.length)}/${version}`;
    const verb = verbOf(request.method, name);
    const call = `${verb} ${plural}${subresource === undefined ? '' : `/${subresource}`}`;
    this.calls.push(call);
    if (this.absent.has(plural)) return { kind: 'answer', status: 404, body: '404 page not found\n' };
    if (this.denied.has(call)) return failure(403, 'Forbidden', `${plural} is forbidden: User "s3cr3t" cannot ${verb}`, name);
    switch (verb) {
      case 'list':
        return this.#list(apiVersion, namespace, plural, url.searchParams);
      case 'create':
        return this.#create(namespace, plural, JSON.parse(request.body) as KubernetesObject);
      case 'get': {
        const object = this.get(apiVersion, plural, namespace, name ?? '');
        return object === undefined ? failure(404, 'NotFound', `${plural} "${name}" not found`, name) : answer(200, object);
      }
      default:
        return this.#patch(keyOf(apiVersion, namespace, plural, name ?? ''), subresource, request, name);
    }
  }

  #review(body: string): Behaviour {
    const { spec } = JSON.parse(body) as { spec: { resourceAttributes: Record<string, string> } };
    const { verb, resource, subresource } = spec.resourceAttributes;
    const call = `${verb ?? ''} ${resource ?? ''}${subresource === undefined ? '' : `/${subresource}`}`;
    return answer(201, { kind: 'SelfSubjectAccessReview', status: { allowed: !this.denied.has(call) } });
  }

  #list(apiVersion: string, namespace: string, plural: string, query: URLSearchParams): Behaviour {
    const prefix = keyOf(apiVersion, namespace, plural, '');
    const matches = selectorOf(query.get('labelSelector') ?? '');
    const all = [...this.objects].filter(([key, { metadata }]) => key.startsWith(prefix) && matches(metadata.labels ?? {}));
    const from = Number(query.get('continue') ?? 0);
    const to = from + Number(query.get('limit') ?? all.length);
    const items = all.slice(from, to).map(([, object]) => object);
    return answer(200, { kind: 'List', metadata: to < all.length ? { continue: String(to) } : {}, items });
  }

  #create(namespace: string, plural: string, object: KubernetesObject & { involvedObject?: { namespace?: string } }): Behaviour {
    if (plural === 'events' && object.involvedObject?.namespace !== namespace) {
      return failure(422, 'Invalid', 'involvedObject.namespace: does not match event.namespace', object.metadata.name);
    }
    const name = (object.metadata.name as string | undefined) ?? `generated-${this.#version}`;
    if (this.get(object.apiVersion, plural, namespace, name) !== undefined) return failure(409, 'AlreadyExists', 'exists', name);
    return answer(201, this.put({ ...object, metadata: { ...object.metadata, name, namespace } }, plural));
  }

  #patch(key: string, subresource: string | undefined, request: ReceivedRequest, name: string | undefined): Behaviour {
    const before = this.beforePatch;
    this.beforePatch = null;
    before?.();
    const object = this.objects.get(key);
    if (object === undefined) return failure(404, 'NotFound', 'not found', name);
    const type = request.headers['content-type'] ?? '';
    const body = JSON.parse(request.body) as unknown;
    if (type === 'application/json-patch+json' && !Array.isArray(body))
      return failure(400, 'BadRequest', 'error decoding patch', name);
    if (type === 'application/json-patch+json' || type === 'application/apply-patch+yaml') return answer(200, object);
    if (type !== 'application/merge-patch+json') return failure(415, 'UnsupportedMediaType', 'unknown format', name);
    const patch = body as Partial<KubernetesObject>;
    const wanted = patch.metadata?.resourceVersion;
    if (wanted !== undefined && wanted !== object.metadata.resourceVersion) {
      return failure(409, 'Conflict', 'the object has been modified', name);
    }
    // Each endpoint keeps what belongs to the other. Applications of Argo CD have one endpoint for all.
    const { metadata, spec, status } = patch;
    const whole = key.includes('/applications/') ? patch : { metadata, spec };
    const scope = subresource === 'status' ? { status } : whole;
    const next = merged(object, scope) as KubernetesObject;
    const changed = JSON.stringify(next) !== JSON.stringify(object);
    if (changed) {
      next.metadata = { ...next.metadata, resourceVersion: String((this.#version += 1)) };
      if (JSON.stringify(next.spec) !== JSON.stringify(object.spec))
        next.metadata.generation = (object.metadata.generation ?? 1) + 1;
    }
    this.objects.set(key, next);
    return answer(200, next);
  }
}

function keyOf(apiVersion: string, namespace: string, plural: string, name: string): string {
  return `${apiVersion}/${namespace}/${plural}/${name}`;
}

function verbOf(method: string, name: string | undefined): string {
  if (method === 'PATCH') return 'patch';
  if (method === 'POST') return 'create';
  return name === undefined ? 'list' : 'get';
}

function answer(status: number, body: unknown): Behaviour {
  return { kind: 'answer', status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

function failure(code: number, reason: string, message: string, name: string | undefined): Behaviour {
  return answer(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message, reason, details: { name }, code });
}

/** Merge patch of RFC 7396. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

function selectorOf(text: string): (labels: Record<string, string>) => boolean {
  const terms = text === '' ? [] : text.split(/,(?![^(]*\))/);
  return (labels) =>
    terms.every((term) => {
      const set = /^(\S+) (in|notin) \(([^)]*)\)$/.exec(term);
      if (set !== null) return (set[3] ?? '').split(',').includes(labels[set[1] ?? ''] ?? '') === (set[2] === 'in');
      if (term.startsWith('!')) return !(term.slice(1) in labels);
      const [key = '', value] = term.split('=');
      return value === undefined ? key in labels : labels[key] === value;
    });
}
