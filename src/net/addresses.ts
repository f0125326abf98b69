import { BlockList, isIP, isIPv6 } from 'node:net';
import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { CodedError } from '../errors.ts';

/**
 * Addresses that nothing davylamp talks to lives on, and that hand out credentials of the machine: link-local ranges
 * and the metadata services of the clouds. IPv4 addresses in IPv6 clothes (mapped, NAT64, 6to4) count, too.
 */
const refused = new BlockList();
refused.addSubnet('169.254.0.0', 16, 'ipv4');
refused.addSubnet('fe80::', 10, 'ipv6');
refused.addSubnet('64:ff9b::a9fe:0', 112, 'ipv6');
refused.addSubnet('2002:a9fe::', 32, 'ipv6');
refused.addSubnet('::a9fe:0', 112, 'ipv6');
// AWS keeps fd00:ec2::/32 for its own services: ::254 is the metadata service, ::23 hands out pod credentials.
refused.addSubnet('fd00:ec2::', 32, 'ipv6');
// Alibaba Cloud, Oracle Cloud, the host agent of Azure, and Google Cloud over IPv6.
refused.addAddress('100.100.100.200', 'ipv4');
refused.addAddress('192.0.0.192', 'ipv4');
refused.addAddress('168.63.129.16', 'ipv4');
refused.addAddress('fd20:ce::254', 'ipv6');

/** @param address an IP address, with or without an IPv6 zone; anything else is not refused */
export function isRefusedAddress(address: string): boolean {
  const bare = address.split('%', 1)[0] ?? '';
  if (isIP(bare) === 0) return false;
  return refused.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4');
}

export function refusal(host: string): CodedError {
  return new CodedError(
    'address_refused',
    `${host} is a link-local or metadata address and is never called; use the address of the service itself`,
    { details: { host } },
  );
}

/** The part of `dns.lookup` that is used, so that tests can answer for a name. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A `lookup` for sockets that never yields a refused address. The check sits here, where the socket takes its address
 * from, because a name that is checked earlier can resolve to something else by the time of the connection.
 */
export function guardedLookup(resolve: Resolve = systemLookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, '');
        return;
      }
      const allowed = found.filter((entry) => !isRefusedAddress(entry.address));
      const first = allowed[0];
      if (first === undefined) callback(refusal(hostname), '');
      else if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}
