import { isTimezone } from '../rollback/guards/freeze.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';

/** What is wrong with the windows of `rollbacks.freeze`, which are of the right shape. */
export function rollbackFindings(rollbacks: JsonMap): Finding[] {
  const freeze = own(rollbacks, 'freeze');
  const windows = isMap(freeze) ? own(freeze, 'windows') : undefined;
  if (!Array.isArray(windows)) return [];
  return windows.flatMap((window: unknown, at) =>
    isMap(window) ? windowFindings(window, ['rollbacks', 'freeze', 'windows', at]) : [],
  );
}

/** Windows that stand there for nothing, since rollbacks are not held in them. */
export function rollbackWarnings(rollbacks: JsonMap): Finding[] {
  const freeze = own(rollbacks, 'freeze');
  const windows = isMap(freeze) ? own(freeze, 'windows') : undefined;
  if (!isMap(freeze) || !Array.isArray(windows) || windows.length === 0 || own(freeze, 'rollbacks') === true) return [];
  const message =
    'hold no rollbacks: a freeze of deployments does not keep a bad one; set freeze.rollbacks to have them held, too';
  return [{ path: ['rollbacks', 'freeze', 'windows'], part: 'value', message }];
}

function windowFindings(window: JsonMap, path: Path): Finding[] {
  const text = (key: string) => {
    const value = own(window, key);
    return typeof value === 'string' ? value : undefined;
  };
  const fault = (key: string, message: string): Finding[] => [{ path: [...path, key], part: 'value', message }];
  const [timezone, start, end] = [text('timezone'), text('start'), text('end')];
  if (timezone !== undefined && !isTimezone(timezone)) {
    return fault(
      'timezone',
      `there is no timezone '${timezone.slice(0, 60)}'; take an IANA name such as Europe/Berlin, or an offset such as +02:00`,
    );
  }
  for (const [key, moment] of [
    ['start', start],
    ['end', end],
  ] as const) {
    if (moment !== undefined && Number.isNaN(Date.parse(moment)))
      return fault(key, `'${moment.slice(0, 60)}' is no date of the calendar`);
  }
  if (start !== undefined && end !== undefined && Date.parse(end) <= Date.parse(start)) return fault('end', 'is not after start');
  return [];
}
