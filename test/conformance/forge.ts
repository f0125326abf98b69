import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodedError } from '../../src/errors.ts';
import type { Forge, ProposalOrder } from '../../src/forge/port.ts';
import type { ForgeFault } from '../support/forges/hub.ts';

/** A proposal as the forge itself shows it. */
export interface Shown {
  state: 'open' | 'ended';
  title: string;
  body: string;
  labels: string[];
  reviewers: string[];
  autoMerge: boolean;
}

/** A forge under test with a far side on which people do what the suite says. */
export interface ForgeWorld {
  forge: Forge;
  /** A second one of the same, as another process has it. */
  another: Forge;
  /** Somebody who may be asked for a review, and ends proposals. */
  person: string;
  /** Pushes a branch with a change of its own; the id of its commit. */
  branch(name: string): Promise<string>;
  /** Opens a proposal past the adapter: by a person, or by us in a process that died after it. */
  open(by: 'us' | 'person', proposal: { branch: string; title: string; body: string }): Promise<number>;
  merge(number: number): Promise<void>;
  end(number: number, by: 'us' | 'person'): Promise<void>;
  shown(number: number): Promise<Shown>;
  /** Numbers of all proposals of a branch. */
  proposalsOf(branch: string): Promise<number[]>;
  comments(number: number): Promise<string[]>;
  statuses(commit: string): Promise<{ context: string; state: string; description: string; url: string | null }[]>;
  /** A webhook as the forge sends it. */
  webhook(kind: 'proposal' | 'push', branch: string): Promise<{ headers: Record<string, string>; body: Buffer }>;
  /** Every call ends so until null; null: this far side cannot be made to fail. */
  fail: ((fault: ForgeFault | null) => void) | null;
  timeoutMs: number;
  secrets: readonly string[];
  close(): Promise<void>;
}

const never = new AbortController().signal;
const MEANS: Readonly<Record<ForgeFault, { code: string; retryable: boolean }>> = {
  refuse: { code: 'forge_unreachable', retryable: true },
  hang: { code: 'forge_unreachable', retryable: true },
  drop: { code: 'forge_unreachable', retryable: true },
  '500': { code: 'forge_failed', retryable: true },
  '429': { code: 'forge_rate_limited', retryable: true },
  '401': { code: 'forge_auth_failed', retryable: false },
  '403': { code: 'forge_forbidden', retryable: false },
  '404': { code: 'forge_not_found', retryable: false },
  moved: { code: 'forge_refused', retryable: false },
  truncated: { code: 'forge_bad_answer', retryable: false },
  'wrong types': { code: 'forge_bad_answer', retryable: false },
  page: { code: 'forge_bad_answer', retryable: false },
  huge: { code: 'forge_bad_answer', retryable: false },
};

/** What every forge with proposals must do, whoever makes it. */
export function describeForge(name: string, start: () => Promise<ForgeWorld>): void {
  describe(`forge ${name}`, () => {
    let world: ForgeWorld;
    let counter = 0;
    beforeAll(async () => {
      world = await start();
    });
    afterAll(() => world.close());

    const fresh = () => `davylamp/rb-${(counter += 1)}`;
    const ordered = (branch: string, change: Partial<ProposalOrder> = {}): ProposalOrder => ({
      branch,
      base: 'main',
      title: `Revert "raise the limit ${branch}"`,
      body: 'The error rate of the canary is above the limit.\n\n| metric | verdict |\n| --- | --- |\n| errors | fail |',
      labels: ['davylamp', 'Urgent revert'],
      reviewers: [world.person],
      autoMerge: false,
      ...change,
    });

    it('opens the proposal of a branch with its labels and reviewers', async () => {
      const branch = fresh();
      await world.branch(branch);
      const order = ordered(branch);
      const proposed = await world.forge.propose(order, never);
      expect(proposed).toMatchObject({ state: 'open', endedBy: null, mergeCommit: null, branch, leftOut: [] });
      expect(proposed.url).toMatch(/^https?:\/\//);
      const shown = await world.shown(proposed.number);
      expect(shown).toMatchObject({ title: order.title, body: order.body, autoMerge: false });
      expect(shown.labels.toSorted()).toEqual(['Urgent revert', 'davylamp']);
      expect(shown.reviewers).toEqual([world.person]);
    });

    it('finds the proposal that is there instead of opening a second one', async () => {
      const branch = fresh();
      await world.branch(branch);
      const first = await world.forge.propose(ordered(branch), never);
      const again = await world.another.propose(ordered(branch, { title: 'Another title' }), never);
      expect(again).toMatchObject({ number: first.number, url: first.url, state: 'open', leftOut: [] });
      expect(await world.proposalsOf(branch)).toEqual([first.number]);
      expect(await world.forge.proposalOf(branch, never)).toMatchObject({ number: first.number, state: 'open', branch });
    });

    it('completes a proposal whose process died after opening it', async () => {
      const branch = fresh();
      await world.branch(branch);
      const order = ordered(branch);
      const number = await world.open('us', order);
      expect(await world.forge.propose(order, never)).toMatchObject({ number, leftOut: [] });
      const shown = await world.shown(number);
      expect(shown.labels.toSorted()).toEqual(['Urgent revert', 'davylamp']);
      expect(shown.reviewers).toEqual([world.person]);
    });

    it("closes what is not wanted any more, without calling that somebody else's no", async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number } = await world.forge.propose(ordered(branch), never);
      await world.forge.close?.(number, never);
      expect((await world.shown(number)).state).toBe('ended');
      expect(await world.forge.proposalOf(branch, never)).toMatchObject({ state: 'closed', endedBy: null });
    });

    it('opens one proposal when two processes want to at the same moment', async () => {
      const branch = fresh();
      await world.branch(branch);
      const both = await Promise.all([
        world.forge.propose(ordered(branch), never),
        world.another.propose(ordered(branch), never),
      ]);
      const states = await Promise.all(
        (await world.proposalsOf(branch)).map(async (number) => (await world.shown(number)).state),
      );
      expect(states.filter((state) => state === 'open')).toHaveLength(1);
      expect(both[0].number).toBe(both[1].number);
    });

    it('leaves out reviewers that the forge refuses, names them, and asks the others', async () => {
      const branch = fresh();
      await world.branch(branch);
      const reviewers = ['nobody-of-this-name', world.person, 'elsewhere/platform', 'robin@example.com'];
      const { leftOut, number } = await world.forge.propose(ordered(branch, { reviewers }), never);
      expect((await world.shown(number)).reviewers).toEqual([world.person]);
      expect(leftOut).toHaveLength(3);
      const text = leftOut.join('\n');
      expect(text).toMatch(/^reviewer nobody-of-this-name: /m);
      expect(text).toMatch(/^reviewer elsewhere\/platform: /m);
      // The address of a person does not get into records.
      expect(text).not.toContain('robin');
    });

    it('knows no proposal of a branch that nobody proposed', async () => {
      const branch = fresh();
      await world.branch(branch);
      expect(await world.forge.proposalOf(branch, never)).toBeNull();
      expect(await world.forge.proposalOf('davylamp/never-pushed', never)).toBeNull();
    });

    it('tells that a person merged it, and the commit on the base branch', async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number } = await world.forge.propose(ordered(branch), never);
      await world.merge(number);
      const merged = await world.forge.proposalOf(branch, never);
      expect(merged).toMatchObject({ number, state: 'merged', endedBy: world.person });
      expect(merged?.mergeCommit).toMatch(/^[0-9a-f]{40}$/);
    });

    it('tells who closed it unmerged, and neither reopens it nor opens another one', async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number } = await world.forge.propose(ordered(branch), never);
      await world.end(number, 'person');
      expect(await world.forge.proposalOf(branch, never)).toMatchObject({
        number,
        state: 'closed',
        endedBy: world.person,
        mergeCommit: null,
      });
      expect(await world.forge.propose(ordered(branch), never)).toMatchObject({ number, state: 'closed' });
      expect(await world.proposalsOf(branch)).toEqual([number]);
    });

    it('does not take what we closed ourselves for the word of a person', async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number } = await world.forge.propose(ordered(branch), never);
      await world.end(number, 'us');
      expect(await world.forge.proposalOf(branch, never)).toMatchObject({ state: 'closed', endedBy: null });
    });

    it('finds the reverts of a commit by anybody, and nothing that only mentions it', async () => {
      const sha = 'c0ffee5'.padEnd(40, '1');
      const subject = 'Raise the connection limit #2';
      const proposals = [
        { branch: 'people/by-title', title: `Revert "${subject}"`, body: 'It hurts.' },
        { branch: 'people/by-sha', title: 'Take the limit back', body: `Why not.\n\nThis reverts commit ${sha}.` },
        { branch: 'people/mentions', title: 'Fix forward', body: `Mends what ${sha} broke.` },
        { branch: 'people/other', title: 'Revert "Something else"', body: 'This reverts commit ' + 'd'.repeat(40) },
        { branch: 'people/again', title: `Reapply "${subject}"`, body: `> This reverts commit ${sha}.` },
      ];
      const numbers: number[] = [];
      for (const proposal of proposals) {
        await world.branch(proposal.branch);
        numbers.push(await world.open('person', proposal));
      }
      await world.end(numbers[1] ?? 0, 'person');
      const found = await world.forge.revertsOf({ sha, subject }, never);
      expect(found).toMatchObject([
        { number: numbers[1], state: 'closed', endedBy: world.person, branch: 'people/by-sha' },
        { number: numbers[0], state: 'open', endedBy: null, branch: 'people/by-title' },
      ]);
    });

    it('writes a comment once, however often it is asked', async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number } = await world.forge.propose(ordered(branch), never);
      await world.forge.comment(number, 'The bad content is gone from main.', never);
      await world.another.comment(number, 'The bad content is gone from main.', never);
      const comments = await world.comments(number);
      expect(comments).toHaveLength(1);
      expect(comments[0]).toMatch(/^The bad content is gone from main\.\n/);
    });

    it('sets the status of a commit, and again without an error', async () => {
      const commit = await world.branch(fresh());
      const status = {
        commit,
        state: 'failure' as const,
        description: 'errors: 12 % against 1 %',
        url: 'https://lamp.example/r/1',
        context: 'davylamp/shop',
      };
      await world.forge.setStatus({ ...status, state: 'pending', url: null }, never);
      await world.forge.setStatus(status, never);
      await world.forge.setStatus(status, never);
      expect(await world.statuses(commit)).toContainEqual({
        context: 'davylamp/shop',
        state: 'failure',
        description: status.description,
        url: status.url,
      });
    });

    it('orders the merge as soon as checks and reviews allow it, once', async () => {
      const branch = fresh();
      await world.branch(branch);
      const { number, leftOut } = await world.forge.propose(ordered(branch, { autoMerge: true }), never);
      expect(leftOut).toEqual([]);
      expect((await world.shown(number)).autoMerge).toBe(true);
      expect(await world.forge.propose(ordered(branch, { autoMerge: true }), never)).toMatchObject({ number, leftOut: [] });
    });

    it('reads a webhook whose signature fits', async () => {
      const branch = fresh();
      const event = await world.forge.readWebhook(await world.webhook('proposal', branch));
      expect(event).toMatchObject({ kind: 'proposal', branch });
      expect(event.delivery).not.toBe('');
      expect(await world.forge.readWebhook(await world.webhook('push', 'main'))).toMatchObject({ kind: 'push', branch: 'main' });
    });

    it('refuses a webhook with another signature, without one, or with another body', async () => {
      const request = await world.webhook('proposal', fresh());
      const signed = ['x-hub-signature-256', 'x-gitlab-token', 'x-gitea-signature', 'x-forgejo-signature', 'webhook-signature'];
      const changed = (change: (value: string) => string) =>
        Object.fromEntries(
          Object.entries(request.headers).map(([key, value]) => [key, signed.includes(key) ? change(value) : value]),
        );
      const flip = (value: string) => value.slice(0, -4) + (value.endsWith('0000') ? '1111' : '0000');
      const wrong = { code: 'webhook_signature_wrong' };
      const { body } = request;
      await expect(world.forge.readWebhook({ headers: changed(flip), body })).rejects.toMatchObject(wrong);
      await expect(world.forge.readWebhook({ headers: changed(() => ''), body })).rejects.toMatchObject(wrong);
      const without = Object.fromEntries(Object.entries(request.headers).filter(([key]) => !signed.includes(key)));
      await expect(world.forge.readWebhook({ headers: without, body })).rejects.toMatchObject(wrong);
      if (!('x-gitlab-token' in request.headers)) {
        const other = Buffer.concat([body, Buffer.from(' ')]);
        await expect(world.forge.readWebhook({ headers: request.headers, body: other })).rejects.toMatchObject(wrong);
      }
    });

    it('says whether the credential can do what it has to', async () => {
      const findings = await world.forge.check(never);
      expect(findings.filter(({ status }) => status === 'fail')).toEqual([]);
      expect(findings).toContainEqual(expect.objectContaining({ status: 'ok', code: 'reachable' }));
      const unverified = findings.filter(({ code }) => code === 'forge_unverified');
      expect(unverified).toHaveLength(world.forge.verified ? 0 : 1);
    });

    describe.runIf(true)('while it fails', () => {
      it.each(Object.keys(MEANS) as ForgeFault[])(
        'says by code and sentence what went wrong, and whether it may pass: %s',
        async (fault) => {
          const { fail } = world;
          if (fail === null) return;
          const branch = fresh();
          await world.branch(branch);
          fail(fault);
          const calls: (() => Promise<unknown>)[] = [
            () => world.forge.proposalOf(branch, never),
            () => world.forge.propose(ordered(branch), never),
            () => world.forge.revertsOf({ sha: 'a'.repeat(40), subject: 'x' }, never),
            () => world.forge.check(never),
          ];
          const began = performance.now();
          const errors = await Promise.all(
            calls.map((call) =>
              call().then(
                () => null,
                (thrown: unknown) => thrown,
              ),
            ),
          );
          fail(null);
          expect(performance.now() - began).toBeLessThan(world.timeoutMs * 4 + 5_000);
          for (const error of errors) {
            if (!(error instanceof CodedError)) throw new Error('no coded error', { cause: error });
            expect({ code: error.code, retryable: error.retryable }).toEqual(MEANS[fault]);
            expect(error.message.length).toBeGreaterThan(20);
            for (const secret of world.secrets) {
              const cause = error.cause instanceof Error ? error.cause.message : '';
              expect(error.message + cause + JSON.stringify(error.details)).not.toContain(secret);
            }
            if (fault === '429') expect(Date.parse(String(error.details['retryAt']))).toBeGreaterThan(Date.now());
          }
          expect(await world.proposalsOf(branch)).toEqual([]);
        },
      );

      it('rejects with the reason of the caller when the caller cancels', async () => {
        const { fail } = world;
        const controller = new AbortController();
        if (fail !== null) fail('hang');
        const reason = new Error('the service stops');
        const call = world.forge.proposalOf(fresh(), controller.signal);
        controller.abort(reason);
        await expect(call).rejects.toBe(reason);
        if (fail !== null) fail(null);
      });
    });
  });
}
