import type { FastifyBaseLogger } from 'fastify';
import type { Analysis } from '../analysis/record.ts';
import type { Clock } from '../clock.ts';
import { sentenceOf } from '../errors.ts';

const RECONNECT_MS = 3_000;

/** Changes whenever something of the analysis did that a client may wait for. */
export function eventId(analysis: Analysis): string {
  return `${analysis.phase}.${analysis.ticks.done}`;
}

/**
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) of the states of one analysis:
 * each state once, as a whole, so that nothing is lost when a slow client gets only every tenth.
 */
export async function* analysisEvents(
  states: AsyncIterable<Analysis>,
  { clock, log }: { clock: Clock; log: FastifyBaseLogger },
  heartbeatMs: number,
): AsyncGenerator<string, void> {
  let sent = '';
  let sentAt = clock.now();
  try {
    yield `retry: ${RECONNECT_MS}\n\n`;
    for await (const state of states) {
      const data = JSON.stringify(state);
      if (data !== sent) {
        yield `id: ${eventId(state)}\nevent: analysis\ndata: ${data}\n\n`;
      } else if (clock.now() - sentAt >= heartbeatMs) {
        yield ': still here\n\n';
      } else {
        continue;
      }
      sent = data;
      sentAt = clock.now();
    }
  } catch (error) {
    // The status is out already: the stream just ends, and the client connects again.
    log.warn({ code: 'stream_broken', reason: sentenceOf(error) }, 'event stream broke');
  }
}
