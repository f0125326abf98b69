import type { FreezeWindow } from '../fleet.ts';
import type { Guard } from './facts.ts';
import { momentText } from './words.ts';

const MINUTE_MS = 60_000;
const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;
const OFFSET = /^([+-])([01][0-9]|2[0-3]):?([0-5][0-9])$/;

type Day = (typeof DAYS)[number];

/** Only where `freeze.rollbacks` is set: a freeze of deployments is no reason to keep a bad one. */
export const frozen: Guard = ({ now, fleet }) => {
  const window = fleet.frozen.find((one) => isWithinWindow(one, now));
  if (window === undefined) return null;
  const until = 'end' in window ? momentText(Date.parse(window.end)) : `${window.to} ${window.timezone}`;
  return {
    code: 'frozen',
    sentence: `a freeze holds rollbacks, too, until ${until} (rollbacks.freeze); approve it to go on before`,
    approvable: true,
  };
};

/** @param at milliseconds since the epoch; the end of a window is not part of it */
export function isWithinWindow(window: Required<FreezeWindow>, at: number): boolean {
  if ('start' in window) return at >= Date.parse(window.start) && at < Date.parse(window.end);
  const { day, minute } = wallClock(at, window.timezone);
  const from = minutesOf(window.from);
  const to = minutesOf(window.to);
  const begins = (on: Day) => window.days.includes(on);
  if (from < to) return begins(day) && minute >= from && minute < to;
  // Over midnight: the evening of its day, and the morning after.
  return (begins(day) && minute >= from) || (begins(before(day)) && minute < to);
}

/** Whether it is a name or an offset that clocks can be read by. */
export function isTimezone(timezone: string): boolean {
  if (OFFSET.test(timezone)) return true;
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: timezone });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** What a clock on the wall shows there. */
function wallClock(at: number, timezone: string): { day: Day; minute: number } {
  const offset = OFFSET.exec(timezone);
  if (offset !== null) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return utcClock(at + (offset[1] === '-' ? -minutes : minutes) * MINUTE_MS);
  }
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    weekday: 'long',
    hour: '2-digit',
    minute: '2-digit',
  });
  const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, value]));
  const day = DAYS.find((name) => name === parts.get('weekday')?.toLowerCase()) ?? 'sunday';
  return { day, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
}

function utcClock(at: number): { day: Day; minute: number } {
  const date = new Date(at);
  return { day: DAYS[date.getUTCDay()] ?? 'sunday', minute: date.getUTCHours() * 60 + date.getUTCMinutes() };
}

function minutesOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number);
  return hours * 60 + minutes;
}

function before(day: Day): Day {
  return DAYS[(DAYS.indexOf(day) + 6) % 7] ?? 'sunday';
}
