import { setTimeout as sleep } from 'node:timers/promises';
import type { Rollback } from '../../../src/rollback/record.ts';
import { pushGate } from '../../support/push-gate.ts';
import { client } from '../../support/running-service.ts';
import { serve, type ServiceProcess } from '../../support/service-process.ts';
import { Finding } from './finding.ts';
import type { Keys } from './keys.ts';
import { PUSH_MOMENTS, type Cell } from './matrix.ts';
import { demandOnce } from './remote.ts';
import { setStage, type Api, type Stage } from './stages.ts';

const POLL_MS = 50;
const KILL_DEADLINE_MS = 90_000;
/** Longer than what is allowed, so that the real figure is known. */
const END_DEADLINE_MS = 150_000;

export interface Played {
  /** From the start of the next process to the final state. */
  endedMs: number;
  rollback: Rollback;
}

/**
 * Has a process of the service kill itself (SIGKILL) at the point, starts another one, and looks at what is there in the end.
 * Nobody asks for the rollback a second time: what was taken on before the kill has to be finished.
 *
 * @throws Finding what did not hold
 */
export async function play(cell: Cell, keys: Keys): Promise<Played> {
  const stage = await setStage(cell, keys);
  const environment = { PATH: keys.searchPath };
  let service: ServiceProcess | undefined;
  try {
    const before = await stage.world.colleague.git('--git-dir', stage.world.git.repository, 'rev-parse', 'main');
    const moment = PUSH_MOMENTS[cell.point];
    const held = moment === undefined ? null : await (await pushGate(stage.world.git.repository)).hold(moment);
    service = await serve(stage.world.config, held === null ? { ...environment, DAVYLAMP_CRASH_AT: cell.point } : environment);
    await untilKilled(stage, service, cell.point, held);

    const from = performance.now();
    service = await serve(stage.world.config, environment);
    // What the git of the dead process was at ends beside the new one.
    await held?.release();
    const rollback = await untilFinal(stage, client(service.address));
    const endedMs = performance.now() - from;
    // What still runs ends first: a second commit could come late.
    service.signal('SIGINT');
    const { code } = await service.ended();
    if (code !== 0) throw new Finding('wrong', `the process that finished the rollback ended with ${String(code)}`);
    await demandOnce(stage, cell, keys, before, rollback);
    return { endedMs, rollback };
  } catch (error) {
    throw error instanceof Finding ? error : new Finding('wrong', String(error));
  } finally {
    await service?.stop();
    await stage.close();
  }
}

async function untilKilled(
  stage: Stage,
  service: ServiceProcess,
  point: string,
  held: { arrived: () => Promise<void> } | null,
): Promise<void> {
  const api = client(service.address);
  const over = new AbortController();
  const people = async () => {
    try {
      await stage.begin(api);
      while (!over.signal.aborted) {
        const [rollback] = await rollbacks(api);
        if (rollback !== undefined) await stage.attend(api, rollback);
        await sleep(POLL_MS);
      }
    } catch (error) {
      // An answer that is lost with its process; what else was wrong is why the point is not reached.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  const late = sleep(KILL_DEADLINE_MS, 'late' as const, { signal: over.signal });
  const ended = service.ended();
  const acting = people();
  const striking = held === null ? ended : held.arrived().then(() => service.signal('SIGKILL'));
  try {
    const first = await Promise.race([ended, late, acting.then(() => ended), striking.then(() => ended)]);
    if (first === 'late' || first.signal !== 'SIGKILL') {
      throw new Finding('wrong', `${point} was not reached${first === 'late' ? '' : `: ${first.stderr}`}`);
    }
  } finally {
    over.abort();
    await Promise.allSettled([acting, late, striking]);
  }
}

async function untilFinal(stage: Stage, api: Api): Promise<Rollback> {
  let last: Rollback | undefined;
  for (const end = performance.now() + END_DEADLINE_MS; performance.now() < end; await sleep(POLL_MS)) {
    const known = await rollbacks(api);
    if (known.length > 1) throw new Finding('double', `there are ${known.length} rollbacks`);
    [last] = known;
    if (last === undefined) continue;
    if (stage.isFinal(last)) return last;
    await stage.attend(api, last);
  }
  const seen =
    last === undefined ? 'there is no rollback' : `${last.state}, ${last.code}: ${last.sentence} ${JSON.stringify(last.problem)}`;
  throw new Finding('lost', `not at its end ${END_DEADLINE_MS / 1_000} s after the restart: ${seen}`);
}

async function rollbacks(api: Api): Promise<Rollback[]> {
  const { status, body } = await api.call<{ items: Rollback[] }>('GET', '/api/v1/rollbacks');
  if (status !== 200) throw new Error(`GET /api/v1/rollbacks was answered with ${status}`);
  return body.items;
}
