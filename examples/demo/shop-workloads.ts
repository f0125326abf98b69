import { startPart, type Part } from './parts.ts';
import type { Registry } from './releases.ts';

export interface WorkloadSettings {
  stablePort: number;
  canaryPort: number;
  registry: Registry;
  seed: number;
  metricsBroken: boolean;
}

type Side = 'canary' | 'stable';

/** What a cluster would do: runs versions of the shop at two fixed addresses. */
export class ShopWorkloads {
  readonly #settings: WorkloadSettings;
  readonly #running: Partial<Record<Side, Part>> = {};

  constructor(settings: WorkloadSettings) {
    this.#settings = settings;
  }

  /** Replaces what runs on this side; resolves when the new process answers. @throws Error for a version that does not exist */
  async run(side: Side, version: string): Promise<void> {
    const release = this.#settings.registry[version];
    if (release === undefined) throw new Error(`There is no release ${version} of the shop.`);
    await this.stop(side);
    this.#running[side] = await startPart({
      name: 'shop',
      settings: {
        version,
        port: side === 'stable' ? this.#settings.stablePort : this.#settings.canaryPort,
        fault: release.fault,
        seed: this.#settings.seed + (side === 'stable' ? 1_000 : 2_000),
        metricsBroken: this.#settings.metricsBroken,
      },
    });
  }

  async stop(side: Side): Promise<void> {
    const part = this.#running[side];
    delete this.#running[side];
    await part?.stop();
  }

  async stopAll(): Promise<void> {
    await Promise.all([this.stop('canary'), this.stop('stable')]);
  }
}
