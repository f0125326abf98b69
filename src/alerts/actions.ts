/** What is told of an alert to whoever acts on it, to the journal, to Git and to chats: no other label value. */
export interface AlertFacts {
  /** Its alertname, cut and without control characters; `unnamed` without one. */
  name: string;
  fingerprint: string;
  /** ISO 8601, to the millisecond. */
  startsAt: string;
  /** Those that the configuration allows to be shown. */
  labels: Readonly<Record<string, string>>;
}

/** What an alert can lead to. Each call may be made again with the same arguments after a crash. */
export interface AlertActions {
  /**
   * The revision that the application ran at a moment, and since when (both milliseconds since the epoch); null when that
   * is not known. A change of the release after that moment changes nothing of the answer.
   */
  liveAt(application: string, at: number, signal: AbortSignal): Promise<{ revision: string; since: number } | null>;
  /** Starts the analysis with this id, unless it was started before: is the revision to blame for the alert? */
  confirm(order: ConfirmationOrder, signal: AbortSignal): Promise<unknown>;
  /** Asks for the rollback of the revision, for applications that trust their alert. The guards hold as ever. */
  rollback(order: { application: string; revision: string; alert: string; sentence: string }): Promise<unknown>;
}

/** Times are milliseconds since the epoch. */
export interface ConfirmationOrder {
  id: string;
  application: string;
  revision: string;
  liveSince: number;
  alert: { name: string; fingerprint: string; startsAt: number };
}
