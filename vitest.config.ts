import { defineConfig } from 'vitest/config';

const report = process.env['DAVYLAMP_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'examples/**/*.test.ts', 'bench/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['test/chaos/**', 'test/real/**', '**/node_modules/**'],
    // A worker thread runs compiled code, so the sources are built once before the tests.
    globalSetup: ['test/build.ts'],
    env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null', GIT_TERMINAL_PROMPT: '0' },
    testTimeout: 20_000,
    pool: 'forks',
    // The continuous integration counts by it.
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
  },
});
