import { describe, expect, it } from 'vitest';
import { DELIVERIES } from '../../test/support/alert-fixtures.ts';
import { fingerprintOf } from './fingerprint.ts';

describe('the fingerprint of labels', () => {
  it('is the one that real Alertmanagers give', () => {
    // The addresses in the label "instance" were replaced after the capture.
    const captured = [...DELIVERIES.values()].flatMap(({ body }) => body.alerts);
    const alerts = captured.filter(({ labels }) => labels['instance'] === undefined);
    expect(alerts.length).toBeGreaterThan(20);
    for (const { labels, fingerprint } of alerts) expect(fingerprintOf(labels)).toBe(fingerprint);
  });

  it('does not depend on the order of the labels, and does on where a name ends', () => {
    expect(fingerprintOf({ b: '2', a: '1' })).toBe(fingerprintOf({ a: '1', b: '2' }));
    expect(fingerprintOf({ ab: 'c' })).not.toBe(fingerprintOf({ a: 'bc' }));
    expect(fingerprintOf({})).toBe('cbf29ce484222325');
  });

  it('sorts by bytes, where UTF-16 would sort otherwise', () => {
    expect(fingerprintOf({ '\u{1f600}': 'x', '\uffee': 'y' })).toBe(fingerprintOf({ '\uffee': 'y', '\u{1f600}': 'x' }));
  });
});
