import { CodedError } from '../../errors.ts';
import type { Forge } from '../port.ts';
import { signatureWrong } from '../webhook.ts';

/** A remote that is git and nothing else: a proposal is its branch, and what became of it shows in the content of the head. */
export function createPlainForge(): Forge {
  return {
    type: 'none',
    verified: true,
    can: { propose: false, autoMerge: false, status: false, webhook: false },
    propose() {
      const sentence = 'plain git has no pull requests: the branch was pushed; merge it by hand, or set forge';
      return Promise.reject(new CodedError('forge_none', sentence));
    },
    proposalOf: () => Promise.resolve(null),
    revertsOf: () => Promise.resolve([]),
    comment: () => Promise.resolve(),
    setStatus: () => Promise.resolve(),
    readWebhook: () => Promise.reject(signatureWrong()),
    check: () => Promise.resolve([]),
  };
}
