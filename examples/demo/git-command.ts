import { execFile } from 'node:child_process';
import { devNull } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DEADLINE_MS = 20_000;

/** Address of a remote over HTTP, and the token that it asks for. */
export interface Remote {
  url: string;
  branch: string;
  token: string;
}

/** Neither the user's own settings nor a proxy of the network may change what the demo does. */
function environment(remote: Remote | null): NodeJS.ProcessEnv {
  const settings = [
    { key: 'gc.auto', value: '0' },
    { key: 'init.defaultBranch', value: 'main' },
  ];
  if (remote !== null) {
    const credential = Buffer.from(`demo:${remote.token}`).toString('base64');
    settings.push({ key: 'http.extraHeader', value: `Authorization: Basic ${credential}` });
  }
  const result: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) if (!name.startsWith('GIT_')) result[name] = value;
  settings.forEach(({ key, value }, index) => {
    result[`GIT_CONFIG_KEY_${String(index)}`] = key;
    result[`GIT_CONFIG_VALUE_${String(index)}`] = value;
  });
  return {
    ...result,
    GIT_CONFIG_COUNT: String(settings.length),
    GIT_CONFIG_GLOBAL: devNull,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
    LC_ALL: 'C',
  };
}

/**
 * Runs the real git and gives its standard output without the last line break.
 * @throws Error with what git wrote on standard error
 */
export async function git(folder: string, args: readonly string[], remote: Remote | null = null): Promise<string> {
  try {
    const { stdout } = await run('git', args, {
      cwd: folder,
      env: environment(remote),
      timeout: DEADLINE_MS,
      killSignal: 'SIGKILL',
      maxBuffer: 10_000_000,
    });
    return stdout.replace(/\n$/, '');
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : '';
    throw new Error(`git ${args[0] ?? ''} failed: ${said || (error instanceof Error ? error.message : String(error))}`, {
      cause: error,
    });
  }
}
