import type { CommandEntry } from './command-line.ts';

/** What `davylamp --help` prints. */
export function helpText(commands: ReadonlyMap<string, CommandEntry>): string {
  const width = Math.max(...[...commands.values()].map((entry) => entry.usage.length));
  const lines = [...commands.values()].map((entry) => `  ${entry.usage.padEnd(width)}  ${entry.summary}`);
  return [
    'davylamp judges canary releases on your metrics and takes the bad ones out of Git.',
    '',
    'Usage: davylamp COMMAND',
    '',
    ...lines,
    '',
    'Every key of the configuration can be set by the environment: DAVYLAMP__SERVER__LISTEN=127.0.0.1:9000.',
    'Exit codes: 0 done, 1 failed while running, 2 called wrongly or with a wrong configuration.',
    '',
  ].join('\n');
}

export function commandHelp(entry: CommandEntry): string {
  return `Usage: davylamp ${entry.usage}\n\n${entry.summary}\n`;
}
