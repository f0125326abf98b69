import type { Finding } from './check.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';
import { shown } from './words.ts';

const MAX_WARNINGS = 100;

/** What is wrong with one path of an application, when something is. '.' is the whole repository. */
export function pathProblem(path: string): string | undefined {
  const got = `got '${shown(path)}'`;
  if (path === '.') return undefined;
  if (/[\p{Cc}\\]/u.test(path)) return `expected a path with / between folders and no control characters; ${got}`;
  if (path.startsWith('/')) return `expected a path relative to the root of the repository; ${got}`;
  if (path.endsWith('/')) return `expected a path without / at the end; ${got}`;
  if (/[*?[\]]/.test(path)) return `expected a folder or a file, not a pattern; ${got}`;
  if (path.startsWith(':')) return `expected a folder or a file, not a pathspec of git; ${got}`;
  const segments = path.split('/');
  if (segments.some((segment) => segment === '..' || segment === '.' || segment === '')) {
    return `expected a path without empty, . and .. segments; ${got}`;
  }
  return segments[0]?.toLowerCase() === '.git' ? `expected a path outside of .git; ${got}` : undefined;
}

/** Whether one of two paths is the other one or lies inside of it. */
export function overlap(a: string, b: string): boolean {
  return a === '.' || b === '.' || a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

/**
 * A warning for each pair of applications of one branch that share files: one of them could be reverted for a fault of
 * the other one. At most a hundred of them.
 */
export function overlapWarnings(applications: JsonMap, repositories: JsonMap): Finding[] {
  const warnings: Finding[] = [];
  const seen: { name: string; branch: string; paths: string[] }[] = [];
  for (const [name, application] of Object.entries(applications)) {
    const branch = branchOf(application, repositories);
    const paths = isMap(application) ? own(application, 'paths') : undefined;
    if (branch === undefined || !Array.isArray(paths)) continue;
    const texts = paths.filter((path) => typeof path === 'string');
    for (const other of seen) {
      if (other.branch !== branch || warnings.length >= MAX_WARNINGS) continue;
      const pair = texts.flatMap((a) => other.paths.filter((b) => overlap(a, b)).map((b) => [a, b] as const))[0];
      if (pair === undefined) continue;
      const message = `'${pair[0]}' overlaps '${pair[1]}' of application ${other.name} on the same branch; one commit can then be the fault of both`;
      warnings.push({ path: ['applications', name, 'paths'], part: 'value', message });
    }
    seen.push({ name, branch, paths: texts });
  }
  return warnings;
}

/** Two repositories of the configuration may be the same one on the remote. */
function branchOf(application: unknown, repositories: JsonMap): string | undefined {
  const name = isMap(application) ? own(application, 'repository') : undefined;
  const repository = typeof name === 'string' ? own(repositories, name) : undefined;
  if (!isMap(repository)) return undefined;
  return JSON.stringify([own(repository, 'url'), own(repository, 'branch') ?? 'main']);
}
