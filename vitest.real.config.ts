import { defineConfig } from 'vitest/config';

const report = process.env['DAVYLAMP_TEST_REPORT'];

/** Tests against programs that take a compiler or minutes of download. Each names what it could not run, and why. */
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    globalSetup: ['test/build.ts'],
    testTimeout: 120_000,
    hookTimeout: 600_000,
    pool: 'forks',
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
