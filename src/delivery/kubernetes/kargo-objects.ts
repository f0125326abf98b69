import { Type, type Static } from 'typebox';
import type { ResourceKind } from './problem.ts';

/** Kinds of Kargo, and of each the part that davylamp looks at (akuity/kargo, api/v1alpha1). */
export const KARGO_STAGES: ResourceKind = {
  group: 'kargo.akuity.io',
  version: 'v1alpha1',
  plural: 'stages',
  kind: 'Stage',
  of: 'Kargo',
};
export const KARGO_FREIGHTS: ResourceKind = { ...KARGO_STAGES, plural: 'freights', kind: 'Freight' };
export const KARGO_PROMOTIONS: ResourceKind = { ...KARGO_STAGES, plural: 'promotions', kind: 'Promotion' };

const optional = Type.Optional;
const Text = optional(Type.String());
const Metadata = Type.Object({ name: Type.String(), annotations: optional(Type.Record(Type.String(), Type.String())) });
/** Copied as they are: their content belongs to Kargo. */
const Opaque = Type.Array(Type.Unknown(), { maxItems: 1_000 });

const Reference = Type.Object({
  name: Type.String(),
  commits: optional(Type.Array(Type.Object({ id: Text }))),
});
export type FreightReference = Static<typeof Reference>;

export const Stage = Type.Object({
  metadata: Metadata,
  spec: optional(
    Type.Object({
      vars: optional(Opaque),
      promotionTemplate: optional(
        Type.Union([Type.Object({ spec: Type.Object({ vars: optional(Opaque), steps: optional(Opaque) }) }), Type.Null()]),
      ),
    }),
  ),
  status: optional(
    Type.Object({
      /** The first one is what is there; each maps the place that Freight comes from to the Freight. */
      freightHistory: optional(
        Type.Array(
          Type.Object({
            items: optional(Type.Record(Type.String(), Reference)),
            verificationHistory: optional(Type.Array(Type.Object({ phase: Text }))),
          }),
        ),
      ),
      currentPromotion: optional(Type.Union([Type.Object({ name: Type.String() }), Type.Null()])),
      lastPromotion: optional(
        Type.Union([Type.Object({ name: Type.String(), freight: optional(Type.Object({ name: Text })) }), Type.Null()]),
      ),
    }),
  ),
});
export type Stage = Static<typeof Stage>;

export const Freight = Type.Object({
  metadata: Metadata,
  status: optional(Type.Object({ verifiedIn: optional(Type.Record(Type.String(), Type.Unknown())) })),
});

export const Promotion = Type.Object({
  metadata: Metadata,
  spec: Type.Object({ stage: Type.String(), freight: Type.String() }),
  status: optional(
    Type.Object({
      phase: Text,
      /** What the steps left behind, by their aliases: commits, branches, numbers of pull requests. */
      state: optional(Type.Unknown()),
      healthChecks: optional(Type.Unknown()),
    }),
  ),
});
export type Promotion = Static<typeof Promotion>;
