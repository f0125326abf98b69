import type { FastifyBaseLogger } from 'fastify';
import type { AlertInlet } from '../alerts/inlet.ts';
import type { Analyses } from '../analysis/analyses.ts';
import type { Changes } from '../changes.ts';
import type { Clock } from '../clock.ts';
import type { Forge } from '../forge/port.ts';
import type { Judge } from '../judges/judge.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { ResolvedServer } from '../config/server.ts';
import type { HttpClient } from '../net/client.ts';
import type { Report } from '../rollback/report.ts';
import type { Rollbacks } from '../rollback/rollbacks.ts';
import type { Switches } from '../rollback/switches.ts';
import type { Replays } from './auth/replays.ts';
import type { TokenConfig } from './auth/secrets.ts';
import type { TlsFiles } from './tls.ts';

/** One answer to "can you work?"; the sentence says what to do when it cannot. */
export interface ReadinessCheck {
  name: string;
  ok: boolean;
  sentence: string;
  /** Told, and not counted: the service can work with it as it is. */
  advisory?: boolean;
}

/** The ways to know a caller other than bearer tokens, and what they need of the world. */
export interface Callers extends Pick<ResolvedServer, 'basic' | 'signers' | 'oidc' | 'clients'> {
  /** Fetches the keys of issuers. */
  http: Pick<HttpClient, 'request'>;
  readSecret: (file: string, key: string) => Promise<string>;
  /** What was taken of signed messages. */
  replays: Replays;
}

/** Everything that the HTTP room is given; it makes nothing of this itself. */
export interface HttpDependencies {
  analyses: Pick<Analyses, 'start' | 'get' | 'measurements' | 'list' | 'cancel'>;
  rollbacks: Pick<Rollbacks, 'request' | 'preview' | 'get' | 'journal' | 'list' | 'approve' | 'refuse'>;
  switches: Pick<Switches, 'set' | 'list'>;
  ledger: Pick<Ledger, 'list' | 'markGood' | 'markBad'>;
  report: (application: string, since: number, signal: AbortSignal) => Promise<Report>;
  /** Where the webhook of an Alertmanager puts its alerts. */
  alerts?: { inlet: Pick<AlertInlet, 'receive'>; maxBodyBytes: number };
  /** Whose webhooks are taken, by the name of the repository, and what is made of them; nobody's when it is left out. */
  forges?: {
    of: (repository: string) => Pick<Forge, 'can' | 'readWebhook'> | undefined;
    /** The proposal of a branch may have moved, or a branch was pushed to. Returns at once, and never throws. */
    onHint: (hint: { repository: string; branch: string; kind: 'proposal' | 'push' }) => void;
  };
  judge: (name: string) => Judge | undefined;
  /** A backup of the data set as text, piece by piece; see docs/reference/storage.md. */
  backup?: () => AsyncGenerator<string, void, undefined>;
  changes: Changes;
  metrics: {
    httpRequest(method: string, route: string, status: number, seconds: number): void;
    error(code: string): void;
    /** @param kind of credential, see auth/credentials.ts @param reason a word of ours, never what a caller sent */
    authenticationFailed(kind: string, reason: string): void;
    page(): Promise<{ contentType: string; text: string }>;
  };
  log: FastifyBaseLogger;
  /** Bearer tokens. Without these and `callers` nobody is asked, which is for loopback addresses only. */
  tokens: readonly TokenConfig[];
  /** The other ways to know a caller; none when it is left out. */
  callers?: Callers;
  /** Called once with what takes other credentials from then on, for a reload of the configuration. */
  onCredentials?: (take: (next: Pick<HttpDependencies, 'tokens' | 'callers'>) => void) => void;
  /** Requests a second of one caller; not limited when it is left out. */
  rates?: ResolvedServer['rates'];
  /** Serves https; plain HTTP when it is left out. */
  tls?: TlsFiles;
  maxBodyBytes: number;
  readiness: () => Promise<ReadinessCheck[]>;
  /** Reads the configuration anew; left out where there is no file. @throws CodedError why it was not taken up */
  reload?: () => Promise<'taken' | 'unchanged'>;
  clock: Clock;
}

/** Bounds of time and number. Tests take smaller ones; nothing else should need to. */
export interface HttpLimits {
  /** Longest `Prefer: wait`, in seconds. */
  maxWaitSeconds: number;
  /** Requests that may stay open at the same time: event streams and waiting ones together. */
  maxOpen: number;
  /** A record that somebody waits for is read anew at least this often, whatever was announced. */
  rereadMs: number;
  /** A quiet event stream gets a comment this often, so that proxies keep it open. */
  heartbeatMs: number;
  /** Time that a client has to send a whole request. */
  requestTimeoutMs: number;
  /** How often the time above is looked at. */
  timeoutCheckMs: number;
  /** A socket on which nothing moves is closed. Above the longest wait, or it would end that. */
  connectionTimeoutMs: number;
  keepAliveTimeoutMs: number;
  maxConnections: number;
  /** Time that the last answers have to get out when the server closes; then their connections are cut. */
  closeGraceMs: number;
  /** Time that store and queue have to take a webhook; then the sender is told to come again. */
  webhookMs: number;
  /** Time that the readiness checks have together. */
  readinessMs: number;
}

export const DEFAULT_LIMITS: HttpLimits = {
  maxWaitSeconds: 60,
  maxOpen: 200,
  rereadMs: 5_000,
  heartbeatMs: 15_000,
  requestTimeoutMs: 10_000,
  timeoutCheckMs: 2_000,
  connectionTimeoutMs: 90_000,
  keepAliveTimeoutMs: 30_000,
  maxConnections: 4_096,
  closeGraceMs: 5_000,
  webhookMs: 2_000,
  readinessMs: 3_000,
};
