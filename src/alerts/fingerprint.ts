const OFFSET_HIGH = 0xcbf29ce4;
const OFFSET_LOW = 0x84222325;
/** The prime is 2^40 + 0x1b3. */
const PRIME_LOW = 0x1b3;
const SEPARATOR = 0xff;
const encoder = new TextEncoder();

/**
 * The fingerprint that Prometheus and the Alertmanager give a set of labels: FNV-1a of 64 bits over the names and values
 * in the order of the names, each followed by the byte 0xff; 16 hex digits.
 *
 * Source: https://github.com/prometheus/common/blob/main/model/signature.go, LabelSet.Fingerprint
 */
export function fingerprintOf(labels: Readonly<Record<string, string>>): string {
  let high = OFFSET_HIGH;
  let low = OFFSET_LOW;
  const add = (byte: number) => {
    low = (low ^ byte) >>> 0;
    const product = low * PRIME_LOW;
    const carry = Math.floor(product / 0x1_0000_0000);
    // 64-bit times the prime, in halves: the 2^40 part adds the low half shifted by 8 to the high one.
    high = (Math.imul(high, PRIME_LOW) + carry + (low << 8)) >>> 0;
    low = product >>> 0;
  };
  const entries = Object.entries(labels).map(([name, value]) => ({ name: encoder.encode(name), value: encoder.encode(value) }));
  for (const { name, value } of entries.toSorted((one, other) => compared(one.name, other.name))) {
    for (const byte of name) add(byte);
    add(SEPARATOR);
    for (const byte of value) add(byte);
    add(SEPARATOR);
  }
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}

/** Go compares texts by their bytes, JavaScript by UTF-16 units. */
function compared(one: Uint8Array, other: Uint8Array): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const difference = (one[at] ?? 0) - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}
