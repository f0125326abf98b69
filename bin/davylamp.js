#!/usr/bin/env node
// A file that is always there, so that npm can link the command before the sources are compiled.
import { existsSync } from 'node:fs';
import process from 'node:process';

const main = new URL('../dist/src/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('davylamp is not built yet; run `npm ci` in its folder first\n');
  process.exitCode = 1;
}
