import { Type, type Static } from 'typebox';
import { ApplicationName } from '../analysis/record.ts';
import type { Clock } from '../clock.ts';
import { CodedError } from '../errors.ts';
import type { RecordWrite, Store } from '../store/port.ts';
import { committed } from '../commit.ts';

export const SwitchScope = Type.Enum(['global', 'repository', 'application'], {
  description: 'What it stops: everything, one repository, one application.',
});
export type SwitchScope = Static<typeof SwitchScope>;

const Name = Type.String({
  pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$',
  description: 'Name of the repository or application; left out for global.',
});

/** What a person asks for. */
export const SwitchRequest = Type.Object(
  {
    scope: SwitchScope,
    name: Type.Optional(Name),
    stopped: Type.Boolean({ description: 'true stops rollbacks and aborts, false lets them go on.' }),
    reason: Type.String({ minLength: 3, maxLength: 1_000, description: 'Stands in the journal, and in what is held.' }),
  },
  {
    additionalProperties: false,
    $id: 'SwitchRequest',
    examples: [{ scope: 'global', stopped: true, reason: 'the metric store is being moved' }],
  },
);
export type SwitchRequest = Static<typeof SwitchRequest>;

/** A kill switch: a record of kind `switch`, and a resource of the API. */
export const Switch = Type.Object(
  {
    scope: SwitchScope,
    name: Type.Union([Type.Union([Name, ApplicationName]), Type.Null()], { description: 'null for global.' }),
    stopped: Type.Boolean(),
    reason: Type.String(),
    by: Type.String({ description: 'Who set it last.' }),
    at: Type.String({ format: 'date-time' }),
  },
  { additionalProperties: false, $id: 'Switch' },
);
export type Switch = Static<typeof Switch>;

export interface SwitchesContext {
  store: Store;
  clock: Clock;
  /** Configured names; a switch of something else would stop nothing. */
  repositories: ReadonlyMap<string, unknown>;
  applications: ReadonlyMap<string, unknown>;
}

const MOST_SWITCHES = 1_000;

/**
 * Kill switches that people set while the service runs. They are read anew for every decision, so that one that was set
 * in another process counts at once; a store that cannot be read stops everything by itself.
 */
export class Switches {
  readonly #context: SwitchesContext;

  constructor(context: SwitchesContext) {
    this.#context = context;
  }

  /**
   * Stops rollbacks, or lets them go on. In the journal together with the record, or not at all.
   * @throws CodedError `switch_invalid`, `application_unknown`, `repository_unknown`, `store_unavailable`
   */
  async set(request: SwitchRequest, by: { name: string }): Promise<Switch> {
    const { store, clock } = this.#context;
    const id = this.#idOf(request);
    for (;;) {
      const known = await store.get('switch', id);
      const now = clock.now();
      const { scope, name = null, stopped, reason } = request;
      const value: Switch = { scope, name, stopped, reason, by: by.name, at: new Date(now).toISOString() };
      const write: RecordWrite = {
        kind: 'switch',
        id,
        expect: known?.version ?? 0,
        createdAt: known?.createdAt ?? now,
        // A switch is never pruned: what was stopped stays stopped.
        index: { state: stopped ? 'stopped' : 'released', open: true },
        value,
      };
      const entry = {
        at: now,
        event: stopped ? 'switch.stopped' : 'switch.released',
        application: scope === 'application' ? (name ?? '') : '',
        subject: `switch/${id}`,
        code: scope,
        sentence: `${stopped ? 'rollbacks stopped' : 'rollbacks released'} ${described(value)} by ${by.name}: ${reason}`,
        details: { scope, name, stopped, by: by.name },
      };
      if (await committed(store, [write], [entry])) return value;
    }
  }

  /** All that were ever set, those that stop something first. */
  async list(): Promise<Switch[]> {
    const { records } = await this.#context.store.list('switch', { limit: MOST_SWITCHES });
    return records.map(({ value }) => value as Switch).toSorted((one, other) => Number(other.stopped) - Number(one.stopped));
  }

  /** Those that stop the rollbacks of an application right now, the widest first. */
  async stopping(about: { application: string; repository: string }): Promise<Switch[]> {
    const ids = ['global', `repository/${about.repository}`, `application/${about.application}`];
    const records = await this.#context.store.getMany('switch', ids);
    return records.flatMap((record) => (record === undefined ? [] : [record.value as Switch])).filter(({ stopped }) => stopped);
  }

  #idOf({ scope, name }: SwitchRequest): string {
    if (scope === 'global') {
      if (name === undefined) return 'global';
      throw new CodedError('switch_invalid', 'the global switch has no name; leave it out, or name a repository or application');
    }
    if (name === undefined) throw new CodedError('switch_invalid', `name the ${scope} that is meant`);
    const known = scope === 'repository' ? this.#context.repositories : this.#context.applications;
    if (!known.has(name)) throw new CodedError(`${scope}_unknown`, `there is no ${scope} "${name}" in the configuration`);
    return `${scope}/${name}`;
  }
}

/** Where a switch stops, for a sentence. */
export function described({ scope, name }: Pick<Switch, 'scope' | 'name'>): string {
  return scope === 'global' ? 'everywhere' : `for ${scope} ${name ?? ''}`;
}
