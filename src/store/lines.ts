import { CodedError } from '../errors.ts';

const NEWLINE = 0x0a;
/** Above the largest record with what stands around it. */
const MAX_LINE_BYTES = 24 * 1_048_576;

/**
 * Cuts bytes into lines at `\n` and nowhere else: what Node.js ships also cuts at U+2028, which stands unescaped in JSON.
 *
 * @throws CodedError `line_too_long`
 */
export class LineSplitter {
  #pieces: Buffer[] = [];
  #bytes = 0;

  /** @returns the lines that are complete now, without their newline */
  push(bytes: Uint8Array): Buffer[] {
    const lines: Buffer[] = [];
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      lines.push(Buffer.concat([...this.#pieces, rest.subarray(0, end)]));
      this.#pieces = [];
      this.#bytes = 0;
      rest = rest.subarray(end + 1);
    }
    this.#bytes += rest.length;
    if (this.#bytes > MAX_LINE_BYTES) {
      throw new CodedError('line_too_long', `A line has more than ${MAX_LINE_BYTES} bytes; this is not a file of davylamp.`);
    }
    // Copied, because who gave the bytes may use them again.
    if (rest.length > 0) this.#pieces.push(Buffer.from(rest));
    return lines;
  }

  /** Bytes after the last newline. */
  get unfinished(): number {
    return this.#bytes;
  }
}
