/** The parts of davylamp's API that the demo uses, and of its resources the fields that the demo reads. */
export interface Analysis {
  id: string;
  kind: 'release' | 'recovery';
  revision: string;
  phase: 'Pending' | 'Running' | 'Successful' | 'Failed' | 'Inconclusive' | 'Error' | 'Cancelled';
  verdict: string | null;
  code: string;
  sentence: string;
  ticks: { planned: number; done: number; warmup: number; everyMs: number };
  createdAt: string;
  endedAt: string | null;
}

export interface Rollback {
  id: string;
  badCommit: string;
  analysis: string | null;
  state: string;
  code: string;
  sentence: string;
  verdictSentence: string;
  aborted: string;
  revertCommit: string | null;
  problem: { code: string; sentence: string; attempts: number } | null;
  recovery: string | null;
  updatedAt: string;
  history: { at: string; step: string; sentence: string }[];
}

/** davylamp answered with an error (RFC 9457): asking again the same way will not help unless status is 5xx or 429. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
  get retryable(): boolean {
    return this.status >= 500 || this.status === 429;
  }
}

const DEADLINE_MS = 5_000;

export class DavylampClient {
  readonly #address: string;

  constructor(address: string) {
    this.#address = address;
  }

  /** @throws Refused when davylamp says no; any other error means that it does not answer at the moment */
  async #ask<Body>(path: string, init: { method?: string; body?: string; headers?: Record<string, string> } = {}): Promise<Body> {
    const answer = await fetch(this.#address + path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) });
    const text = await answer.text();
    if (!answer.ok) throw new Refused(answer.status, `davylamp answered ${String(answer.status)}: ${text.slice(0, 500)}`);
    return JSON.parse(text) as Body;
  }

  /** The same key never starts a second analysis, so this may be repeated until it is answered. */
  startAnalysis(request: { application: string; revision: string }, idempotencyKey: string): Promise<Analysis> {
    return this.#ask('/api/v1/analyses', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey },
      body: JSON.stringify(request),
    });
  }

  analysis(id: string): Promise<Analysis> {
    return this.#ask(`/api/v1/analyses/${encodeURIComponent(id)}`);
  }

  async analyses(application: string): Promise<Analysis[]> {
    return (await this.#ask<{ items: Analysis[] }>(`/api/v1/analyses?application=${encodeURIComponent(application)}`)).items;
  }

  async rollbacks(application: string): Promise<Rollback[]> {
    return (await this.#ask<{ items: Rollback[] }>(`/api/v1/rollbacks?application=${encodeURIComponent(application)}`)).items;
  }
}
