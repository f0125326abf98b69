import { parseDuration } from '../analysis/quantities.ts';
import { Report } from '../rollback/report.ts';
import { apiCommand, table, type SendRequest } from './api.ts';
import { usage, type Command } from './command-line.ts';

const DEFAULT_SINCE = '30d';

/** `report APP --since 30d`: what davylamp did or would have done, beside what people did. */
export function reportWith(send: SendRequest): Command {
  const shape = { positionals: ['APP'], values: ['since'], flags: ['json'] };
  return apiCommand(send, shape, async ({ api, positionals, values, flags, write }) => {
    const [application = ''] = positionals;
    const since = values.get('since') ?? DEFAULT_SINCE;
    if (!/^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$/.test(since) || parseDuration(since) === 0)
      throw usage(`'${since}' is no duration; write for example --since 30d`);
    const report = await api.get(`/api/v1/applications/${encodeURIComponent(application)}/report`, Report, { since });
    if (flags.has('json')) {
      write(`${JSON.stringify(report)}\n`);
      return;
    }
    const { agreed, onlyDavylamp, onlyPeople, lines, cut } = report;
    write(`${application} since ${report.since}: both ${agreed}, only davylamp ${onlyDavylamp}, only people ${onlyPeople}\n`);
    if (lines.length === 0) return;
    const rows = lines.map((line) => [
      line.badCommit.slice(0, 10),
      line.davylamp,
      line.code ?? '-',
      line.at ?? '-',
      line.people,
      line.commit?.slice(0, 10) ?? '-',
      line.secondsEarlier === null ? '-' : `${Math.round(line.secondsEarlier / 60)} min`,
      line.subject,
    ]);
    write(table([['BAD', 'DAVYLAMP', 'CODE', 'DECIDED', 'PEOPLE', 'BY', 'EARLIER', 'SUBJECT'], ...rows]));
    if (cut) write('there is more than is shown\n');
  });
}
