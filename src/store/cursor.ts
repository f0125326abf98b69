import { CodedError } from '../errors.ts';

/** A place in a listing: the last record of the page before. */
export interface Position {
  /** Milliseconds since the epoch. */
  createdAt: number;
  id: string;
}

export function toCursor({ createdAt, id }: Position): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url');
}

/** @throws CodedError `cursor_invalid` */
export function fromCursor(cursor: string): Position {
  const invalid = (cause?: unknown) =>
    new CodedError('cursor_invalid', 'The cursor is not one that this listing has returned. Begin again without it.', { cause });
  try {
    const position: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const [createdAt, id] = Array.isArray(position) ? (position as unknown[]) : [];
    if (typeof createdAt === 'number' && typeof id === 'string') return { createdAt, id };
  } catch (error) {
    throw invalid(error);
  }
  throw invalid();
}
