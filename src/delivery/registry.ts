import type { DeliveryConfig } from '../config/schema.ts';
import { CodedError } from '../errors.ts';
import type { HttpDeliveryDependencies } from './http/delivery.ts';
import type { Delivery } from './port.ts';

/**
 * Every delivery there is: a new one is one folder and one line here. Adapters are imported when they are configured,
 * not before.
 *
 * @param application whose delivery it is, for the message
 * @throws CodedError `adapter_not_available`
 */
export async function createDelivery(
  application: string,
  config: DeliveryConfig,
  deps: HttpDeliveryDependencies,
): Promise<Delivery> {
  switch (config.type) {
    case 'http':
      return (await import('./http/delivery.ts')).createHttpDelivery(config, deps);
    case 'none':
      return (await import('./none/delivery.ts')).createNoDelivery();
    case 'argo-rollouts':
    case 'flagger':
    case 'deployment':
      throw new CodedError(
        'adapter_not_available',
        `applications.${application}.delivery: type ${config.type} comes with a later release; this version has: http, none`,
        { details: { application, type: config.type } },
      );
  }
}
