/** Asks once who the credential belongs to; a fault is not kept. */
export function rememberedName(ask: (signal: AbortSignal) => Promise<string | null>): {
  (signal: AbortSignal): Promise<string | null>;
} {
  let known: { name: string | null } | null = null;
  return async (signal) => {
    known ??= { name: await ask(signal) };
    return known.name;
  };
}

/** Who ended a proposal, when that was somebody else than ourselves. */
export async function othersName(
  ended: string | null,
  ourselves: (signal: AbortSignal) => Promise<string | null>,
  signal: AbortSignal,
): Promise<string | null> {
  if (ended === null) return null;
  const own = await ourselves(signal);
  return own !== null && own.toLowerCase() === ended.toLowerCase() ? null : ended;
}
