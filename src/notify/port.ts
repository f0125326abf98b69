/** Port of channels: where people and programs are told. */
export interface Notice {
  /** Stable: the same notice sent again (after a crash) is recognisably the same one. */
  id: string;
  /** Rollback or analysis that it belongs to: one thread each. */
  incident: string;
  application: string;
  /** `rollback.held`, `rollback.pushed`, … as in the journal. */
  event: string;
  code: string;
  /** page: somebody has to act; warn: somebody should look; info. */
  urgency: 'page' | 'warn' | 'info';
  /** One line. */
  title: string;
  /** The reason for a person; no markup, no raw label values, no log lines. */
  sentence: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** Plain facts (commits, states, figures), all of them allowed to leave the service. */
  facts: Readonly<Record<string, string | number | null>>;
  /** Links by name (the rollback, the pull request, the commit). */
  links: Readonly<Record<string, string>>;
}

export interface Channel {
  readonly type: string;
  readonly verified: boolean;
  /** It opens something (an alert, a page, a region) that later notices of the incident end, whatever their urgency. */
  readonly closes?: boolean;
  /**
   * Sends one notice; retried by the caller.
   * @param thread what the first notice of the incident returned; null for the first
   * @returns the thread that later notices of the incident belong to; null where the channel has none
   * @throws CodedError retryable when the other side is away
   */
  send(notice: Notice, thread: string | null, signal: AbortSignal): Promise<{ thread: string | null }>;
}
