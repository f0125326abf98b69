import type { JsonAnswer } from './json-server.ts';

/** What davylamp can see and order; every order may be repeated. */
export interface Rollout {
  state(): { canary: string | null; stable: string | null; synced: string | null; phase: string };
  abort(revision: string, rollback: string): Promise<'aborted' | 'already' | 'not_running'>;
  sync(): void;
}

const MOST_NOTES = 100;

/** The HTTP contract of davylamp's delivery `http`: GET the state; POST /abort, /annotate, /sync. */
export class DeliveryContract {
  readonly #rollout: Rollout;
  readonly #base: string;
  readonly #notes = new Map<string, unknown>();

  constructor(rollout: Rollout, base: string) {
    this.#rollout = rollout;
    this.#base = base;
  }

  async handle(route: string, body: Readonly<Record<string, unknown>>): Promise<JsonAnswer | null> {
    switch (route) {
      case `GET ${this.#base}`:
        return { status: 200, body: this.#rollout.state() };
      case `GET ${this.#base}/notes`:
        return { status: 200, body: Object.fromEntries(this.#notes) };
      case `POST ${this.#base}/abort`: {
        const { revision, rollback } = body;
        if (typeof revision !== 'string' || typeof rollback !== 'string') {
          return { status: 400, body: { error: 'revision and rollback must be texts' } };
        }
        const result = await this.#rollout.abort(revision, rollback);
        return result === 'not_running'
          ? { status: 409, body: { error: `${revision} is not the running canary` } }
          : { status: 200, body: { result } };
      }
      case `POST ${this.#base}/annotate`:
        if (typeof body.revision === 'string' && (this.#notes.has(body.revision) || this.#notes.size < MOST_NOTES)) {
          this.#notes.set(body.revision, body.values);
        }
        return { status: 200, body: {} };
      case `POST ${this.#base}/sync`:
        this.#rollout.sync();
        return { status: 202, body: {} };
      default:
        return null;
    }
  }
}
