/** The words of ping and of the C library for what went wrong, in both families. */

import { IcmpType, Unreachable } from "../net/icmp.ts";
import { Icmp6Type } from "../net/icmp6.ts";
import { formatIp } from "../net/ip.ts";
import { Errno } from "../verdict.ts";

const messages: Readonly<Record<number, string>> = {
  [Errno.ESRCH]: "No such process",
  [Errno.EAGAIN]: "Resource temporarily unavailable",
  [Errno.EACCES]: "Permission denied",
  [Errno.EXDEV]: "Invalid cross-device link",
  [Errno.ENODEV]: "No such device",
  [Errno.EINVAL]: "Invalid argument",
  [Errno.EMSGSIZE]: "Message too long",
  [Errno.EPERM]: "Operation not permitted",
  [Errno.EADDRINUSE]: "Address already in use",
  [Errno.EADDRNOTAVAIL]: "Cannot assign requested address",
  [Errno.ENETDOWN]: "Network is down",
  [Errno.ENETUNREACH]: "Network is unreachable",
  [Errno.EHOSTUNREACH]: "No route to host",
};
/** strerror(3) of the C locale. */
export const strerror = (errno: number): string => messages[errno] ?? `Unknown error ${errno}`;

const unreachable: readonly string[] = [
  "Destination Net Unreachable",
  "Destination Host Unreachable",
  "Destination Protocol Unreachable",
  "Destination Port Unreachable",
  "Frag needed and DF set",
  "Source Route Failed",
  "Destination Net Unknown",
  "Destination Host Unknown",
  "Source Host Isolated",
  "Destination Net Prohibited",
  "Destination Host Prohibited",
  "Destination Net Unreachable for Type of Service",
  "Destination Host Unreachable for Type of Service",
  "Packet filtered",
  "Precedence Violation",
  "Precedence Cutoff",
];
const redirects: readonly string[] = [
  "Redirect Network",
  "Redirect Host",
  "Redirect Type of Service and Network",
  "Redirect Type of Service and Host",
];

/** What an ICMP error says, in ping's words (iputils pr_icmph). */
export function icmpErrorName(type: number, code: number): string {
  switch (type) {
    case IcmpType.DEST_UNREACH:
      return unreachable[code] ?? `Dest Unreachable, Bad Code: ${code}`;
    case IcmpType.TIME_EXCEEDED:
      if (code > 1) return `Time exceeded, Bad Code: ${code}`;
      return code === 0 ? "Time to live exceeded" : "Frag reassembly time exceeded";
    case IcmpType.PARAMETER_PROBLEM:
      return "Parameter problem";
    case IcmpType.SOURCE_QUENCH:
      return "Source Quench";
    case IcmpType.REDIRECT:
      return redirects[code] ?? `Redirect, Bad Code: ${code}`;
    default:
      return `Bad ICMP type: ${type}`;
  }
}

/** What ping prints for an ICMP error: its name and what its second word tells. @param info that word */
export function icmpErrorMessage(type: number, code: number, info: number): string {
  const name = icmpErrorName(type, code);
  if (type === IcmpType.DEST_UNREACH && code === Unreachable.FRAG_NEEDED) return `${name} (mtu = ${info & 0xffff})`;
  if (type === IcmpType.PARAMETER_PROBLEM) return `${name}: pointer = ${info >>> 24}`;
  return type === IcmpType.REDIRECT ? `${name}(New nexthop: ${formatIp(info)})` : name;
}

const unreachable6: readonly string[] = [
  "No route",
  "Administratively prohibited",
  "Beyond scope of source address",
  "Address unreachable",
  "Port unreachable",
];
const timeExceeded6: readonly string[] = ["Hop limit", "Defragmentation failure"];
const parameterProblems6: readonly string[] = ["Wrong header field", "Unknown header", "Unknown option"];

/** What ping prints for an ICMPv6 error (iputils print_icmp of ping6_common.c). @param info its second word */
export function icmp6ErrorMessage(type: number, code: number, info: number): string {
  switch (type) {
    case Icmp6Type.DEST_UNREACH:
      return `Destination unreachable: ${unreachable6[code] ?? `Unknown code ${code}`}`;
    case Icmp6Type.PKT_TOOBIG:
      return `Packet too big: mtu=${info}${code === 0 ? "" : `, code=${code}`}`;
    case Icmp6Type.TIME_EXCEED:
      return `Time exceeded: ${timeExceeded6[code] ?? `code ${code}`}`;
    case Icmp6Type.PARAMPROB:
      return `Parameter problem: ${parameterProblems6[code] ?? `code ${code}`} at ${info}`;
    default:
      return `unknown icmp type: ${type}`;
  }
}
