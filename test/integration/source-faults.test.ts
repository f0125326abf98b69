import { describe, expect, it } from 'vitest';
import { playFaultStory } from '../../bench/fault-story.ts';

describe('a metric store that is unwell', () => {
  it(
    'leads to no rollback and to no pass, whatever ails it, and the release is judged once it is well',
    { timeout: 120_000 },
    async () => {
      const outcomes = await playFaultStory({ everyMs: 1_500, faultTicks: 4, ticksAfter: 12, fullSpeed: false });
      expect(outcomes.length).toBeGreaterThan(20);
      expect(outcomes.filter(({ problems }) => problems.length > 0)).toEqual([]);
    },
  );
});
