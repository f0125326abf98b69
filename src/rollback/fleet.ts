import { Type, type Static } from 'typebox';
import { Duration, Share } from '../analysis/quantities.ts';

const duration = (value: string, description: string, examples: readonly string[] = []) =>
  Type.Optional(Type.Unsafe<string>({ ...Duration, default: value, description, ...(examples.length > 0 && { examples }) }));
const closed = { additionalProperties: false };

const Moment = { pattern: '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})$' };
const Clock = { pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$' };

/** A time in which nothing is deployed: every week, or once. */
export const FreezeWindow = Type.Union([
  Type.Object(
    {
      days: Type.Optional(
        Type.Array(Type.Enum(['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday']), {
          minItems: 1,
          maxItems: 7,
          default: ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'],
          description: 'Days on which it begins; all of them by default.',
        }),
      ),
      from: Type.String({ ...Clock, description: 'Time of day at which it begins, for example "17:00".' }),
      to: Type.String({
        ...Clock,
        description: 'Time of day at which it ends; on the next day when it is not later than `from`.',
      }),
      timezone: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 60,
          default: 'UTC',
          description: 'An IANA name such as Europe/Berlin, or an offset from UTC such as +02:00.',
        }),
      ),
    },
    { ...closed, description: 'Every week.' },
  ),
  Type.Object(
    {
      start: Type.String({ ...Moment, description: 'When it begins, with its offset: 2026-12-20T00:00:00Z.' }),
      end: Type.String({ ...Moment, description: 'When it ends.' }),
    },
    { ...closed, description: 'Once.' },
  ),
]);
export type FreezeWindow = Static<typeof FreezeWindow>;

/** The section `rollbacks` of the configuration: what holds for all applications together. */
export const RollbackSettings = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'false: nothing is rolled back, proposed or aborted, whatever the applications allow.',
      }),
    ),
    maxPerDay: Type.Optional(
      Type.Integer({ minimum: 0, default: 30, description: 'Rollbacks of all applications in 24 hours; above it, held.' }),
    ),
    fleet: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(
            Type.Boolean({ default: true, description: 'Whether it counts that several applications turn bad together.' }),
          ),
          applications: Type.Optional(
            Type.Integer({
              minimum: 2,
              maximum: 10_000,
              default: 3,
              description: 'So many applications that share a source, cluster or repository are no coincidence.',
            }),
          ),
          share: Type.Optional(
            Type.Unsafe<string | number>({
              ...Share,
              default: '50%',
              description:
                'Nor is this share of the applications that are being analysed there, where it is four or more of them and two commits or more are bad.',
            }),
          ),
          within: duration('10m', 'Time within which they have to turn bad to count as together.'),
          settle: duration(
            '5s',
            'So long an automatic rollback waits for others to turn bad, too, where enough of them are being analysed to matter; 0s: not at all.',
            ['0s', '5s'],
          ),
        },
        {
          ...closed,
          default: {},
          description: 'The breaker that holds every automatic rollback when several applications turn bad together.',
        },
      ),
    ),
    freeze: Type.Optional(
      Type.Object(
        {
          rollbacks: Type.Optional(
            Type.Boolean({ default: false, description: 'Whether rollbacks, too, wait in these windows.' }),
          ),
          windows: Type.Optional(
            Type.Array(FreezeWindow, { maxItems: 100, default: [], description: 'When deployments are frozen.' }),
          ),
        },
        { ...closed, default: {}, description: 'Freezes of deployments. Taking a bad release out is none, unless this says so.' },
      ),
    ),
  },
  { ...closed, default: {}, description: 'What holds for the rollbacks of all applications together.' },
);
export type RollbackSettings = Static<typeof RollbackSettings>;

/** The same for those who act on it, with what the configuration says of each repository and application. */
export interface FleetPolicy {
  isEnabled: boolean;
  maxPerDay: number;
  breaker: { isEnabled: boolean; applications: number; share: number; within: number; settle: number };
  /** Windows in which rollbacks are held, too; none where the freeze is for deployments only. */
  frozen: readonly Required<FreezeWindow>[];
  repositories: ReadonlyMap<string, { isOff: boolean; maxPerDay: number }>;
  /** What an application shares with others, for a person: `cluster eu`, `repository shop`, `source prom`. */
  shares: ReadonlyMap<string, readonly string[]>;
}
