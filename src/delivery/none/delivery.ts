import { CodedError } from '../../errors.ts';
import type { Delivery } from '../port.ts';

/** Nothing is known of the cluster and nothing is done there: Git alone takes the bad version out. */
export function createNoDelivery(): Delivery {
  const unsupported = () =>
    Promise.reject(
      new CodedError('delivery_unsupported', 'delivery none can do nothing in the cluster; configure another type for it'),
    );
  return {
    type: 'none',
    can: { observe: false, abort: false, annotate: false, sync: false },
    observe: unsupported,
    abort: unsupported,
    annotate: unsupported,
    sync: unsupported,
  };
}
