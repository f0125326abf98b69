// Prints "PASSED FAILED SKIPPED" of a JSON report of vitest. A file that could not even be loaded is one failed test.
import { readFileSync } from 'node:fs';

const report = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const unloadable = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
console.log(report.numPassedTests, report.numFailedTests + unloadable.length, report.numPendingTests + report.numTodoTests);
