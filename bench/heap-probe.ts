/**
 * Preloaded into a measured service (`node --import`): tells on file descriptor 3 what is alive after each full
 * collection of garbage that happens by itself, one line of JSON each. Nothing is collected for its sake.
 */
import { writeSync } from 'node:fs';
import { PerformanceObserver, constants } from 'node:perf_hooks';
import process from 'node:process';

const DESCRIPTOR = 3;

new PerformanceObserver((list) => {
  const full = list.getEntries().some((entry) => {
    const { kind } = (entry as { detail?: { kind?: number } }).detail ?? {};
    return kind === constants.NODE_PERFORMANCE_GC_MAJOR;
  });
  if (!full) return;
  const { heapUsed } = process.memoryUsage();
  writeSync(DESCRIPTOR, `${JSON.stringify({ at: Date.now(), heapMb: heapUsed / 1_048_576 })}\n`);
}).observe({ entryTypes: ['gc'] });
