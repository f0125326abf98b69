import { Narrator } from './narrator.ts';
import { parseOptions, USAGE, type DemoOptions } from './options.ts';
import { NOTHING_ROLLED_BACK, type Outcome } from './outcome.ts';
import { FIRST_VERSION, registryFor } from './releases.ts';
import { CANARY_WEIGHT, failureOf, Story } from './story.ts';
import { World } from './world.ts';

/** Process edge of the demo: options, signals, exit code. */
const INTERRUPTED = 130;
const WRONG_USE = 2;

function opening(options: DemoOptions): string {
  if (options.healthy)
    return 'Two good releases of a small shop are judged and promoted, and nothing is rolled back; this takes about 60 s.';
  if (options.sabotage !== null)
    return `A bad release of a small shop, with the ${options.sabotage} broken on purpose: the demo has to notice; this takes up to 60 s.`;
  if (options.badOnly)
    return 'A bad release of a small shop is judged, aborted, reverted in Git and recovered; this takes about 20 s.';
  return 'A good release of a small shop is promoted; then a bad one is judged, aborted, reverted in Git and recovered. This takes about 50 s.';
}

function whereToLook(narrator: Narrator, world: World): void {
  const { addresses, folder } = world;
  narrator.act('Everything stays up until you press Ctrl-C. Look around:');
  const rows = [
    ['what was rolled back, and why', `curl -s ${addresses.davylamp}/api/v1/rollbacks`],
    ['every analysis with its evidence', `curl -s ${addresses.davylamp}/api/v1/analyses`],
    ['the whole API, in a browser', `${addresses.davylamp}/docs`],
    ["davylamp's own metrics", `curl -s ${addresses.davylamp}/metrics`],
    ["the shop's metrics, as davylamp reads them", `curl -s ${addresses.metrics.stable}`],
    ['what the GitOps loop runs', `curl -s ${addresses.delivery}`],
    ['what Git declares, and who changed it', `git --git-dir ${world.gitServer.repository} log --stat`],
    ['what the customers got', `tail ${world.trafficLog}`],
    ['configuration, data and log of davylamp', folder],
  ];
  for (const [what = '', where = ''] of rows) narrator.line(`  ${what.padEnd(44)}${where}`);
}

/** Resolves with the exit code. */
async function run(options: DemoOptions, narrator: Narrator, ending: AbortSignal): Promise<{ code: number; outcome: Outcome }> {
  const world = new World({
    registry: registryFor(options),
    firstVersion: FIRST_VERSION,
    canaryWeight: CANARY_WEIGHT,
    seed: options.seed,
    sabotage: options.sabotage,
    crashAt: options.crash,
    redis: options.redis,
  });
  const story = new Story(world, narrator, options, ending);
  try {
    narrator.line(opening(options));
    narrator.act('The stage');
    narrator.step('Starting a Git remote, a shop behind a router, its customers, a GitOps loop and davylamp, all on 127.0.0.1.');
    await world.open();
    const outcome = await story.play();
    if (!options.once) {
      whereToLook(narrator, world);
      await aborted(ending);
    }
    return { code: 0, outcome };
  } catch (error) {
    if (ending.aborted) return { code: INTERRUPTED, outcome: story.soFar };
    const failure = failureOf(error);
    narrator.line();
    narrator.bad(`The demo failed in this part: ${failure.part}. ${failure.message}`);
    return { code: 1, outcome: { ...story.soFar, failed: failure.part } };
  } finally {
    await world.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

const parsed = parseOptions(process.argv.slice(2));
if (parsed.kind === 'help') process.stdout.write(`${USAGE}\n`);
else if (parsed.kind === 'refused') {
  process.stderr.write(`${parsed.reason}\n\n${USAGE}\n`);
  process.exitCode = WRONG_USE;
} else {
  const colour = process.stdout.isTTY && process.env.NO_COLOR === undefined;
  const narrator = new Narrator(process.stdout, () => performance.now(), colour);
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      // A second time means now: the keeper ends what is left.
      if (ending.signal.aborted) process.exit(INTERRUPTED);
      narrator.line();
      narrator.line('Ending everything that was started.');
      ending.abort();
    });
  }
  // Nobody reads on, for example after "| head".
  process.stdout.on('error', () => ending.abort());
  const { code, outcome } = await run(parsed.options, narrator, ending.signal).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return { code: 1, outcome: { ...NOTHING_ROLLED_BACK, failed: 'setup' } satisfies Outcome };
  });
  if (parsed.options.once && !ending.signal.aborted) process.stdout.write(`${JSON.stringify(outcome)}\n`);
  process.exitCode = code;
}
