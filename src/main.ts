#!/usr/bin/env node
import process from 'node:process';
import { EXIT, unknown, type CommandEntry } from './cli/command-line.ts';
import { commandHelp, helpText } from './cli/help.ts';
import { keepHeapSmall, openHeap } from './heap.ts';

/** Every command by name. The code of a command, and what it needs, is loaded when it is called. */
const COMMANDS: ReadonlyMap<string, CommandEntry> = new Map([
  [
    'serve',
    {
      usage: 'serve --config FILE',
      summary: 'Runs the service.',
      service: true,
      load: async () => {
        keepHeapSmall();
        const [{ serveWith }, { buildApp }] = await Promise.all([import('./cli/serve.ts'), import('./app.ts')]);
        return serveWith(async (loaded, options) => {
          const app = await buildApp(loaded, options);
          openHeap();
          return app;
        });
      },
    },
  ],
  [
    'validate',
    {
      usage: 'validate FILE [--json]',
      summary: 'Checks a configuration and says everything that is wrong with it.',
      load: async () => (await import('./cli/validate.ts')).validate,
    },
  ],
  [
    'doctor',
    {
      usage: 'doctor [CONFIG] [--json]',
      summary: 'Looks at everything that a configuration needs of the world, and changes nothing.',
      load: async () => {
        const [{ doctorWith }, { examine }] = await Promise.all([import('./cli/doctor.ts'), import('./app/examination.ts')]);
        return doctorWith(examine);
      },
    },
  ],
  [
    'backup',
    {
      usage: 'backup --url URL [--token-file FILE] [--out FILE]',
      summary: 'Writes a backup of a running service.',
      load: async () => {
        const [{ backupWith }, { fetchBackup }] = await Promise.all([import('./cli/backup.ts'), import('./app/offline.ts')]);
        return backupWith(fetchBackup);
      },
    },
  ],
  [
    'restore',
    {
      usage: 'restore FILE --config FILE',
      summary: 'Puts a backup into an empty storage.',
      load: async () => {
        const [{ restoreWith }, { restoreInto }] = await Promise.all([import('./cli/restore.ts'), import('./app/offline.ts')]);
        return restoreWith(restoreInto);
      },
    },
  ],
  [
    'audit',
    {
      usage: 'audit verify FILE',
      summary: 'Verifies the chain of a journal file or a backup.',
      load: async () => {
        const [{ auditWith }, { auditJournal }] = await Promise.all([import('./cli/audit.ts'), import('./app/offline.ts')]);
        return auditWith(auditJournal);
      },
    },
  ],
  ...(
    [
      ['rollback', 'rollback APP [--commit SHA] [--reason TEXT] [--dry-run]', 'Asks for a rollback, or says what it would do.'],
      ['rollbacks', 'rollbacks [APP] [--state NAME] [--limit N]', 'Lists rollbacks, newest first.'],
      ['approve', 'approve ID [--plan HASH]', 'Releases a held rollback with the plan that was seen.'],
      ['refuse', 'refuse ID [--reason TEXT]', 'Refuses a rollback for good.'],
    ] as const
  ).map(([name, usage, summary]): [string, CommandEntry] => [
    name,
    {
      usage: `${usage} [--json] [--server URL] [--token-file FILE]`,
      summary,
      load: async () => {
        const [commands, { callService }] = await Promise.all([import('./cli/rollback.ts'), import('./app/calling.ts')]);
        return commands.rollbackCommands[name](callService);
      },
    },
  ]),
  [
    'report',
    {
      usage: 'report APP [--since DURATION] [--json] [--server URL] [--token-file FILE]',
      summary: 'Shows what davylamp did, or would have done, beside what people did.',
      load: async () => {
        const [{ reportWith }, { callService }] = await Promise.all([import('./cli/report.ts'), import('./app/calling.ts')]);
        return reportWith(callService);
      },
    },
  ],
  [
    'ledger',
    {
      usage: 'ledger APP [--standing NAME] [--limit N] [--json] [--server URL] [--token-file FILE]',
      summary: 'Shows what is known of the revisions of an application.',
      load: async () => {
        const [{ ledgerWith }, { callService }] = await Promise.all([import('./cli/ledger.ts'), import('./app/calling.ts')]);
        return ledgerWith(callService);
      },
    },
  ],
  ...(['good', 'bad'] as const).map((standing): [string, CommandEntry] => [
    `mark-${standing}`,
    {
      usage: `mark-${standing} APP SHA --reason TEXT [--json] [--server URL] [--token-file FILE]`,
      summary: `Says that a revision is ${standing}, whatever is known of it.`,
      load: async () => {
        const [{ markWith }, { callService }] = await Promise.all([import('./cli/ledger.ts'), import('./app/calling.ts')]);
        return markWith(callService, standing);
      },
    },
  ]),
  [
    'openapi',
    {
      usage: 'openapi',
      summary: 'Prints the OpenAPI document of the HTTP API.',
      load: async () => {
        const [{ openapiFrom }, { buildOpenApi }] = await Promise.all([import('./cli/openapi.ts'), import('./http/openapi.ts')]);
        return openapiFrom(buildOpenApi);
      },
    },
  ],
  [
    'config-schema',
    {
      usage: 'config-schema',
      summary: 'Prints the JSON Schema of the configuration, for editors.',
      load: async () => (await import('./cli/config-schema.ts')).configSchema,
    },
  ],
  [
    'config-reference',
    {
      usage: 'config-reference',
      summary: 'Prints every key of the configuration as Markdown.',
      load: async () => (await import('./cli/config-reference.ts')).printConfigReference,
    },
  ],
  [
    'crash-points',
    {
      usage: 'crash-points',
      summary: 'Prints the names that DAVYLAMP_CRASH_AT takes; for tests.',
      load: async () => (await import('./cli/crash-points.ts')).crashPoints,
    },
  ],
  ['version', { usage: 'version', summary: 'Prints the version.', load: async () => (await import('./cli/version.ts')).version }],
]);

/** Aborts at the first SIGTERM or SIGINT; the second one ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(128 + number);
      stop.abort(name);
    });
  }
  return stop.signal;
}

async function run(args: readonly string[]): Promise<number> {
  const [name = 'help', ...rest] = args;
  if (name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(helpText(COMMANDS));
    return args.length === 0 ? EXIT.usage : EXIT.done;
  }
  const entry = COMMANDS.get(name === '--version' || name === '-v' ? 'version' : name);
  try {
    if (entry === undefined)
      throw unknown(name.startsWith('-') ? 'option' : 'command', name, [...COMMANDS.keys(), 'help', '--help', '--version']);
    if (rest.includes('--help') || rest.includes('-h')) {
      process.stdout.write(commandHelp(entry));
      return EXIT.done;
    }
    const command = await entry.load();
    const code = await command(rest, {
      environment: process.env,
      write: (text) => void process.stdout.write(text),
      complain: (text) => void process.stderr.write(text),
      stop: entry.service === true ? stopSignal() : new AbortController().signal,
      onHangup: (listener) => void process.on('SIGHUP', listener),
    });
    if (entry.service === true) process.exit(code);
    return code;
  } catch (error) {
    const { complainAbout } = await import('./cli/config-errors.ts');
    return complainAbout(error, (text) => void process.stderr.write(text));
  }
}

// `davylamp openapi | head` closes our output early, which is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.done);
});
process.exitCode = await run(process.argv.slice(2));
