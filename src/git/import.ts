import { CodedError } from '../errors.ts';
import type { Entry, LocalGit } from './deltas.ts';
import type { Stamp } from './run.ts';

/** What a path becomes: an object that is there, a new content, nothing. */
export type Change = Entry | { mode: string; content: string } | null;

/** Stands only while one import runs: the stream itself takes it away again. */
const SCRATCH_REF = 'refs/davylamp/scratch';

/**
 * One commit on `parent` by `git fast-import`: no index, no work tree, no filters, one process however many paths
 * (git-fast-import(1)). The bytes of the commit are those that `git commit-tree` would write.
 *
 * @param changes by the bytes of the path, one character each
 * @returns the id
 */
export async function importCommit(
  git: LocalGit,
  parent: string,
  changes: ReadonlyMap<string, Change>,
  message: string,
  stamp: Stamp,
): Promise<string> {
  if (message.includes('\0')) throw new CodedError('git_argument_refused', 'A commit message cannot hold a NUL character.');
  const who = `${stamp.name} <${stamp.email}> ${stamp.atSeconds} +0000`;
  const stream: Buffer[] = [];
  const line = (text: string): void => void stream.push(Buffer.from(`${text}\n`, 'utf8'));
  const data = (text: string): void => {
    const body = Buffer.from(text, 'utf8');
    line(`data ${body.length}`);
    stream.push(body);
    line('');
  };
  line(`commit ${SCRATCH_REF}`);
  line('mark :1');
  line(`author ${who}`);
  line(`committer ${who}`);
  data(message);
  line(`from ${parent}`);
  // A file makes room for a folder of the same name, and the other way round.
  const inOrder = [...changes].toSorted(([, one], [, other]) => Number(one !== null) - Number(other !== null));
  for (const [bytes, change] of inOrder) {
    const path = Buffer.from(quoted(bytes), 'latin1');
    if (change === null) stream.push(Buffer.from('D '), path, Buffer.from('\n'));
    else {
      const what = 'content' in change ? 'inline' : change.id;
      stream.push(Buffer.from(`M ${change.mode} ${what} `), path, Buffer.from('\n'));
      if ('content' in change) data(change.content);
    }
  }
  line('get-mark :1');
  line(`reset ${SCRATCH_REF}`);
  line(`from ${'0'.repeat(parent.length)}`);
  line('');
  line('done');
  const { stdout } = await git({ subcommand: 'fast-import', args: ['--quiet', '--done'], input: Buffer.concat(stream) });
  return stdout.trim();
}

/** A path in C-style quotes. */
function quoted(bytes: string): string {
  return `"${bytes.replaceAll(/["\\\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`))}"`;
}
