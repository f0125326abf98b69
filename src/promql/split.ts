export interface QueryPart {
  kind: 'code' | 'string' | 'comment';
  /** As it stands, quotes and the # included. */
  text: string;
  /** Place in the query. */
  at: number;
}

/**
 * Cuts a query into strings, comments and what is neither. Quotes in a comment and # in a string are nothing special;
 * an unclosed string goes to the end.
 */
export function splitQuery(text: string): QueryPart[] {
  const parts: QueryPart[] = [];
  for (const match of text.matchAll(/"(?:\\[^]|[^"\\])*"?|'(?:\\[^]|[^'\\])*'?|`[^`]*`?|#[^\n]*|[^"'`#]+/g)) {
    const [part] = match;
    const first = part.charAt(0);
    const kind = first === '#' ? 'comment' : first === '"' || first === "'" || first === '`' ? 'string' : 'code';
    parts.push({ kind, text: part, at: match.index });
  }
  return parts;
}
