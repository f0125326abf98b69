import { readFileSync, readdirSync } from 'node:fs';
import type { AlertmanagerWebhook } from '../../src/alerts/webhook.ts';

interface Delivery {
  note: string;
  captured_with: string;
  request: { headers: Record<string, string> };
  body: AlertmanagerWebhook;
}

const folder = new URL('../fixtures/alertmanager/', import.meta.url);

/** The captured deliveries by the name of their file. */
export const DELIVERIES: ReadonlyMap<string, Delivery> = new Map(
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => [name.replace('.json', ''), JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Delivery]),
);

export function delivery(name: string): Delivery {
  const found = DELIVERIES.get(name);
  if (found === undefined) throw new Error(`there is no fixture ${name}`);
  return found;
}
