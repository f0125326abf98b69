// Prints "PASSED FAILED SKIPPED" of a JSON report of vitest. A file that could not even be loaded is one failed test.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const unloadable = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
console.log(report.numPassedTests, report.numFailedTests + unloadable.length, report.numPendingTests + report.numTodoTests);

// The names stand apart, on the other stream, so that they can be said again where a long log ends.
for (const file of report.testResults) {
  if (file.status === 'failed' && file.assertionResults.length === 0) console.error(`${file.name}: could not be loaded`);
  for (const { status, fullName, failureMessages } of file.assertionResults) {
    if (status === 'failed') console.error(`${fullName}: ${(failureMessages[0] ?? '').split('\n', 1)[0]}`);
  }
}
