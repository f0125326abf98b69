import type { LoadHook } from 'node:module';
import type { Mutation } from './mutations.ts';

/** Runs in the thread of the module hooks (node:module, register): changes one file as it is loaded. */

let mutation: Mutation | null = null;

export function initialize(data: Mutation): void {
  mutation = data;
}

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  if (mutation === null || !url.endsWith(mutation.file)) return loaded;
  const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
  if (!source.includes(mutation.find)) {
    throw new Error(`${mutation.file} has no \`${mutation.find}\` any more: adapt the mutation "${mutation.name}"`);
  }
  return { ...loaded, source: source.replaceAll(mutation.find, mutation.replace) };
};
