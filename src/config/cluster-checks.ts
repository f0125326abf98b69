import { nearestName } from '../analysis/nearest.ts';
import { endpointProblem, isLoopback } from './addresses.ts';
import type { Finding } from './check.ts';
import type { Path } from './document.ts';
import { isMap, own, type JsonMap } from './schema-node.ts';

/** What is wrong with the addresses of the clusters. */
export function clusterFindings(clusters: JsonMap): Finding[] {
  return Object.entries(clusters).flatMap(([name, cluster]): Finding[] => {
    const url = isMap(cluster) ? own(cluster, 'url') : undefined;
    if (typeof url !== 'string' || !/^https?:\/\//.test(url)) return [];
    const message = endpointProblem(url) ?? clearTextProblem(url);
    return message === undefined ? [] : [{ path: ['clusters', name, 'url'], part: 'value', message }];
  });
}

function clearTextProblem(url: string): string | undefined {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' || isLoopback(hostname)) return undefined;
  return `http:// to ${hostname} would send the token in the clear; use https://`;
}

/** Clusters that a delivery, or its operator, names and that are not configured. */
export function clusterReferenceFindings(path: Path, delivery: JsonMap, clusters: JsonMap): Finding[] {
  const places: [Path, unknown][] = [[[...path, 'cluster'], own(delivery, 'cluster')]];
  for (const operator of ['argocd', 'flux']) {
    const settings = own(delivery, operator);
    if (isMap(settings)) places.push([[...path, operator, 'cluster'], own(settings, 'cluster')]);
  }
  return places.flatMap(([at, name]): Finding[] => {
    if (typeof name !== 'string' || Object.hasOwn(clusters, name)) return [];
    const names = Object.keys(clusters);
    const near = nearestName(name, names);
    const listed = names.length === 0 ? 'none is configured' : `configured: ${names.slice(0, 10).join(', ')}`;
    const message = `there is no cluster '${name}'${near === null ? `; ${listed}` : ''}`;
    return [{ path: at, part: 'value', message, ...(near !== null && { hint: `did you mean ${near}?` }) }];
  });
}
