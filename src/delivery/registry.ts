import type { DeliveryConfig } from '../config/schema.ts';
import { CodedError } from '../errors.ts';
import type { HttpDeliveryDependencies } from './http/delivery.ts';
import type { KubernetesDependencies } from './kubernetes/access.ts';
import type { Delivery } from './port.ts';

export interface DeliveryDependencies extends HttpDeliveryDependencies {
  /** Left out where no cluster can be reached. */
  kubernetes?: KubernetesDependencies;
}

/**
 * Every delivery there is: a new one is one folder and one line here. Adapters are imported when they are configured,
 * not before.
 *
 * @param application whose delivery it is, for the message
 * @throws CodedError `adapter_not_available`, `cluster_invalid`
 */
export async function createDelivery(application: string, config: DeliveryConfig, deps: DeliveryDependencies): Promise<Delivery> {
  switch (config.type) {
    case 'http':
      return (await import('./http/delivery.ts')).createHttpDelivery(config, deps);
    case 'none':
      return (await import('./none/delivery.ts')).createNoDelivery(config, deps);
    case 'argo-rollouts':
      return (await import('./argo-rollouts/delivery.ts')).createArgoRolloutsDelivery(config, kubernetesFor(application, deps));
    case 'flagger':
      return (await import('./flagger/delivery.ts')).createFlaggerDelivery(config, kubernetesFor(application, deps));
    case 'deployment':
      return (await import('./deployment/delivery.ts')).createDeploymentDelivery(config, kubernetesFor(application, deps));
  }
}

function kubernetesFor(application: string, { kubernetes, http, readSecret }: DeliveryDependencies): KubernetesDependencies {
  if (kubernetes !== undefined) return { ...kubernetes, hooks: { http, readSecret } };
  const sentence = `applications.${application}.delivery: this process was started without access to Kubernetes`;
  throw new CodedError('adapter_not_available', sentence, { details: { application } });
}
