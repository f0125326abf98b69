import { loadConfig, type LoadedConfig } from '../config/load.ts';
import { problemsOf, problemText, type Problem } from '../config/problem.ts';
import { EXIT, readArguments, type Command } from './command-line.ts';
import { complainAbout } from './config-errors.ts';

/** Checks a configuration as `serve` would, without starting anything. */
export const validate: Command = async (args, surroundings) => {
  const { flags, positionals } = readArguments(args, { flags: ['json'], positionals: ['FILE'] });
  const file = positionals[0] ?? '';
  const json = flags.has('json');
  let loaded: LoadedConfig;
  try {
    loaded = await loadConfig({ file, environment: surroundings.environment });
  } catch (error) {
    const problems = problemsOf(error);
    if (!json || problems.length === 0) return complainAbout(error, surroundings.complain);
    surroundings.write(answer({ valid: false, problems, warnings: [] }));
    return EXIT.usage;
  }
  if (json) {
    surroundings.write(answer({ valid: true, problems: [], warnings: loaded.warnings }));
    return EXIT.done;
  }
  for (const warning of loaded.warnings) surroundings.complain(`warning: ${problemText(warning)}\n`);
  const { applications = {}, templates = {}, sources = {}, repositories = {} } = loaded.config;
  const counted = Object.entries({ applications, templates, sources, repositories });
  surroundings.write(`${file} is valid: ${counted.map(([name, map]) => `${name} ${Object.keys(map).length}`).join(', ')}\n`);
  return EXIT.done;
};

function answer(result: { valid: boolean; problems: readonly Problem[]; warnings: readonly Problem[] }): string {
  return `${JSON.stringify(result, null, 2)}\n`;
}
