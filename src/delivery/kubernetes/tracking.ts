import type { Released } from './released.ts';
import type { Argocd } from './schema.ts';

const TRACKING_ID = 'argocd.argoproj.io/tracking-id';
/** Where Argo CD is by its own manifests; an Application elsewhere has its namespace in the tracking-id. */
const CONTROL_PLANE = 'argocd';
const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/**
 * The Application that manages an object, by its tracking-id: `APP:GROUP/KIND:NAMESPACE/NAME`, where APP is `NAME` or
 * `NAMESPACE_NAME` (argo-cd docs, "Resource tracking"). One that names another object was copied with it, and says nothing.
 */
export function trackedBy(object: Released): Pick<Argocd, 'namespace' | 'application'> | null {
  const [app = '', kind = '', rest = ''] = splitOnce((object.annotations[TRACKING_ID] ?? '').trim());
  if (kind !== `${object.group}/${object.kind}` || rest !== `${object.namespace}/${object.name}`) return null;
  const at = app.indexOf('_');
  const [namespace, application] = at < 0 ? [CONTROL_PLANE, app] : [app.slice(0, at), app.slice(at + 1)];
  return NAME.test(namespace) && NAME.test(application) ? { namespace, application } : null;
}

/** Names of objects may hold colons, so only the first two separate. */
function splitOnce(text: string): string[] {
  const first = text.indexOf(':');
  const second = text.indexOf(':', first + 1);
  return first < 0 || second < 0 ? [] : [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}
