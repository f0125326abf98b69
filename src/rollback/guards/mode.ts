import type { Policy } from '../policy.ts';

/**
 * design 5.2: without a live baseline a fail proposes at most; design 5.1: so does a release that does not live. Either
 * goes further only where the application opted in.
 */
export function modeFor(policy: Policy, cause: { confounded: boolean; undeployable?: boolean }): Policy['mode'] {
  if (policy.mode !== 'rollback') return policy.mode;
  if (cause.confounded && policy.onConfounded === 'propose') return 'propose';
  if (cause.undeployable === true && policy.onUndeployable === 'propose') return 'propose';
  return policy.mode;
}
