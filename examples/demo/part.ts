import type { PartEvent, PartOrder, Running } from './parts.ts';
import type { KeeperOrder } from './keeper.ts';

/** Process edge of every part of the demo: starts what the first argument says and ends with its parent. */
function tell(event: PartEvent): void {
  if (process.connected) process.send?.(event);
}

async function start(order: PartOrder): Promise<Running> {
  // Loaded one by one, so that a shop does not carry the code of the loop.
  switch (order.name) {
    case 'shop':
      return (await import('./shop.ts')).startShop(order.settings);
    case 'router':
      return (await import('./router.ts')).startRouter(order.settings);
    case 'traffic':
      return (await import('./traffic.ts')).startTraffic(order.settings, (report) => tell({ type: 'traffic', report }));
    case 'loop':
      return (await import('./gitops-loop.ts')).startLoop(order.settings, (event) => tell({ type: 'loop', event }));
    case 'keeper':
      return (await import('./keeper.ts')).startKeeper(order.settings);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// Ctrl-C reaches the whole process group; the parent alone decides when its parts end.
process.on('SIGINT', () => {});

const order = JSON.parse(process.argv[2] ?? '{}') as PartOrder;
try {
  const running = await start(order);
  const end = (): void => {
    void running.close().finally(() => process.exit(0));
  };
  process.once('SIGTERM', end);
  process.once('disconnect', end);
  process.on('message', (message) => running.receive?.(message as KeeperOrder));
  tell({ type: 'ready', ports: running.ports });
} catch (error) {
  tell({ type: 'failed', reason: reasonOf(error) });
  process.exitCode = 1;
  if (process.connected) process.disconnect();
}
