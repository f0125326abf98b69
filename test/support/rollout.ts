import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';

/** A pretended controller that speaks the contract of delivery `http` and does what it is told at once. */
export async function startRollout(initial: { canary: string | null; stable: string | null }) {
  const state: Record<string, unknown> & { canary: string | null; phase: string } = {
    ...initial,
    synced: initial.canary,
    phase: 'progressing',
  };
  const calls: { path: string; body: Record<string, unknown> }[] = [];
  let status: number | null = null;
  const server = createServer((request, response) => {
    void answer(request).then(
      ({ code, body }) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  async function answer(request: IncomingMessage): Promise<{ code: number; body: unknown }> {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    if (status !== null) return { code: status, body: {} };
    if (request.method === 'GET') return { code: 200, body: state };
    const body = JSON.parse(text) as Record<string, unknown>;
    const path = (request.url ?? '').replace('/shop', '');
    calls.push({ path, body });
    if (path === '/abort') {
      if (state.phase === 'aborted') return { code: 200, body: { result: 'already' } };
      if (state.canary !== body['revision']) return { code: 409, body: {} };
      state.phase = 'aborted';
      return { code: 200, body: { result: 'aborted' } };
    }
    if (path === '/sync') Object.assign(state, { canary: null, synced: body['commit'], phase: 'healthy' });
    return { code: 200, body: {} };
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the rollout has no port');
  return {
    url: `http://127.0.0.1:${address.port}/shop`,
    state,
    calls,
    /** Every call is answered with this status from now on; null for the real answers. */
    answerWith(code: number | null) {
      status = code;
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
