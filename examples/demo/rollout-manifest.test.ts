import { describe, expect, it } from 'vitest';
import { formatManifest, parseManifest } from './rollout-manifest.ts';

describe('the manifest of the demo', () => {
  it('reads what it wrote, whatever the version looks like', () => {
    for (const version of ['1.2.0', '2', '1e3', '0x10']) {
      expect(parseManifest(formatManifest({ version, canaryWeight: 10 }))).toEqual({ version, canaryWeight: 10 });
    }
  });

  it.each([
    ['', 'mapping'],
    ['version: 1.2', 'version must be a text'],
    ['version: "1.2.0"', 'canaryWeight'],
    ['version: "1.2.0"\ncanaryWeight: 101', 'canaryWeight'],
    ['version: "1.2.0"\ncanaryWeight: .nan', 'canaryWeight'],
  ])('says what is wrong with %j', (text, complaint) => {
    expect(() => parseManifest(text)).toThrow(complaint);
  });
});
