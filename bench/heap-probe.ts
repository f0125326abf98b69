/**
 * Preloaded into a measured service (`node --expose-gc --import`): when it is asked on file descriptor 3, it collects all
 * garbage and says what is alive, one line of JSON.
 */
import { Socket } from 'node:net';
import process from 'node:process';

const DESCRIPTOR = 3;
const { gc: collect } = globalThis;

const channel = new Socket({ fd: DESCRIPTOR });
channel.on('data', () => {
  if (collect === undefined) throw new Error('start it with --expose-gc');
  collect();
  channel.write(`${JSON.stringify({ heapMb: process.memoryUsage().heapUsed / 1_048_576 })}\n`);
});
// The bench may be gone before the service.
channel.on('error', () => channel.destroy());
channel.unref();
