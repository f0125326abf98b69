import { admit, mayTouch, type Principal } from './principal.ts';

/** Pages of the store that one request may read to fill a page of a caller that is bound to few of many applications. */
const MAX_READS = 20;

interface Page<T> {
  items: T[];
  next: string | null;
}

/**
 * A page of a listing with what belongs to the caller's applications. Where it is one application, the store picks them;
 * else the store's pages are read on until the page is full, the listing ends or the bound is reached: then the page is
 * short and still has a `next`.
 *
 * @throws CodedError `forbidden` when the caller asks for an application that is not its own
 */
export async function ownPage<T extends { application: string }>(
  who: Principal,
  { application, cursor, limit }: { application: string | undefined; cursor: string | undefined; limit: number },
  list: (query: { application?: string; before?: string; limit: number }) => Promise<Page<T>>,
): Promise<Page<T>> {
  if (application !== undefined) admit(who, application);
  const [only, ...others] = who.applications ?? [];
  const named = application ?? (others.length === 0 ? only : undefined);
  const ask = (before: string | undefined, count: number) =>
    list({ limit: count, ...(named !== undefined && { application: named }), ...(before !== undefined && { before }) });
  if (who.applications === null || named !== undefined) return ask(cursor, limit);
  const items: T[] = [];
  let next: string | null = cursor ?? null;
  for (let read = 0; read < MAX_READS; read += 1) {
    const page: Page<T> = await ask(next ?? undefined, limit - items.length);
    items.push(...page.items.filter((item) => mayTouch(who, item.application)));
    next = page.next;
    if (next === null || items.length >= limit) break;
  }
  return { items, next };
}
