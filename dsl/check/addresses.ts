/**
 * Addresses of the devices, in the kernel's order: IPv4 as `__inet_insert_ifa` keeps them (primaries by scope, the first of
 * a subnet is the primary, later ones its secondaries), then IPv6 as `ipv6_link_dev_addr` does (by scope, newest first).
 */
import type { Ip, Prefix } from "../../runtime/net/ip.ts";
import { bitsOf, familyOf, formatIp, formatPrefix, inPrefix } from "../../runtime/net/ip.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import type { AddressProperty } from "../ast.ts";
import type { Address, Origin } from "../model.ts";
import { Scope } from "../model.ts";
import type { Span } from "../span.ts";
import type { DeviceSpec } from "./devices.ts";
import { propertiesOf } from "./devices.ts";
import type { DeviceDraft, Mutable, NetDraft } from "./draft.ts";
import { hasCarrier, kernelOrigin } from "./draft.ts";
import { definedAt, requireScope } from "./names.ts";
import type { Reporter } from "./report.ts";
import { removal } from "./report.ts";

export type AddressDraft = Mutable<Address>;

/** An address with what only its routes need. */
export interface AssignedAddress {
  readonly device: DeviceDraft;
  readonly address: AddressDraft;
  /** Metric of the connected route; 0: the family's default. */
  readonly metric: number;
  /** `noprefixroute`: no connected route. */
  readonly prefixRoute: boolean;
}

const LOOPBACK4: Prefix = { address: 0x7f000001, length: 8 };
const LOOPBACK6: Prefix = { address: 1n, length: 128 };
const LINK_LOCAL_NETWORK = 0xfe80n << 112n;

/** Assigns all addresses of a net, the kernel's own first; the result is in the order in which their routes are made. */
export function assignAddresses(
  nets: readonly NetDraft[],
  net: NetDraft,
  specs: Map<string, DeviceSpec>,
  report: Reporter,
): AssignedAddress[] {
  return net.devices.flatMap((device) => {
    const spec = specs.get(device.name);
    const written = (spec ? propertiesOf(spec) : []).filter(
      (p): p is AddressProperty & typeof p => p.kind === "address",
    );
    const assigned = [...kernelAddresses(nets, device), ...written.flatMap((p) => addressOf(device, p, report))];
    return assigned.filter((a) => insert(a.device, a.address, report));
  });
}

/** `inetdev_event` (127.0.0.1), `init_loopback` (::1) and `addrconf_addr_gen` (link-local from the MAC address). */
function kernelAddresses(nets: readonly NetDraft[], device: DeviceDraft): AssignedAddress[] {
  if (!device.up) return [];
  const own = (prefix: Prefix, scope: Scope, what: string): AssignedAddress => ({
    device,
    address: { prefix, peer: prefix.address, scope, secondary: false, origin: kernelOrigin(what, device.origin.span) },
    metric: 0,
    // Kernel: `add_addr` makes no connected route for ::1.
    prefixRoute: prefix !== LOOPBACK6,
  });
  if (device.kind === "loopback") {
    const loopback4 = own(LOOPBACK4, Scope.HOST, "lo has 127.0.0.1/8 when it comes up");
    return device.ipv6 ? [loopback4, own(LOOPBACK6, Scope.HOST, "lo has ::1 when it comes up")] : [loopback4];
  }
  if (device.kind === "vrf" || !device.ipv6 || !hasCarrier(nets, device)) return [];
  const address = LINK_LOCAL_NETWORK | eui64(device.mac);
  return [
    own({ address, length: 64 }, Scope.LINK, `link-local address of ${device.name}, from ${formatMac(device.mac)}`),
  ];
}

/** RFC 4291 appendix A: ff:fe between the halves of the MAC address, universal/local bit turned. */
function eui64(mac: number): bigint {
  const bits = BigInt(mac);
  return ((bits >> 24n) << 40n) ^ (0xfffen << 24n) ^ (bits & 0xffffffn) ^ (2n << 56n);
}

function addressOf(device: DeviceDraft, property: AddressProperty, report: Reporter): AssignedAddress[] {
  const { value, span } = property.address;
  const family = familyOf(value.address);
  const refusal = refusalOf(device, value.address);
  if (refusal !== undefined) {
    report.error("E0224", span, `${formatIp(value.address)} cannot be an address of \`${device.name}\``, refusal);
    return [];
  }
  const peer = property.peer?.value;
  if (peer !== undefined && familyOf(peer.address) !== family) {
    report.error("E0225", property.peer!.span, "the peer is not of the address's family", {
      label: `IPv${familyOf(peer.address)}`,
      secondary: [{ span, message: `IPv${family}` }],
    });
    return [];
  }
  const scope = property.scope ? requireScope(property.scope, report) : undefined;
  const address: AddressDraft = {
    // iproute2: with a peer, the prefix length is the peer's.
    prefix: { address: value.address, length: peer?.length ?? value.length },
    peer: peer?.address ?? value.address,
    scope: family === 6 ? scope6(value.address as bigint) : (scope ?? scope4(value.address as number)),
    secondary: false,
    origin: { span: property.span },
  };
  return [{ device, address, metric: property.metric?.value ?? 0, prefixRoute: property.noprefixroute !== true }];
}

/** Kernel: `ipv6_add_addr`; IPv4's 0.0.0.0 is dropped without a word by `__inet_insert_ifa`. */
function refusalOf(device: DeviceDraft, address: Ip): { label: string; kernel?: string } | undefined {
  if (typeof address === "number") return address === 0 ? { label: "the unspecified address" } : undefined;
  const kernel = "RTNETLINK answers: Cannot assign requested address";
  if (!device.ipv6) return { label: "IPv6 is switched off here", kernel: "RTNETLINK answers: Permission denied" };
  if (address === 0n) return { label: "the unspecified address", kernel };
  if (address >> 120n === 0xffn) return { label: "a multicast address", kernel };
  // A VRF may have it: its `lo`, as it were (netif_is_l3_master).
  if (address === 1n && device.kind !== "loopback" && device.kind !== "vrf")
    return { label: "the loopback address belongs to `lo`", kernel };
  return undefined;
}

/** iproute2's `default_scope`: 127/8 is the host's. */
const scope4 = (address: number): Scope => (address >>> 24 === 127 ? Scope.HOST : Scope.UNIVERSE);

/** Kernel: `ipv6_addr_scope`: the address says it. */
function scope6(address: bigint): Scope {
  if (address === 1n) return Scope.HOST;
  if (address >> 118n === 0x3fan) return Scope.LINK;
  return address >> 118n === 0x3fbn ? Scope.SITE : Scope.UNIVERSE;
}

function insert(device: DeviceDraft, address: AddressDraft, report: Reporter): boolean {
  return familyOf(address.prefix.address) === 4 ? insert4(device, address, report) : insert6(device, address, report);
}

const is4 = (a: AddressDraft): boolean => familyOf(a.prefix.address) === 4;
/** Kernel: `inet_ifa_match` with equal masks: the other ends lie in one subnet. */
const sameSubnet = (a: AddressDraft, b: AddressDraft): boolean =>
  a.prefix.length === b.prefix.length && inPrefix({ address: b.peer, length: b.prefix.length }, a.peer);

function insert4(device: DeviceDraft, address: AddressDraft, report: Reporter): boolean {
  const list = device.addresses.filter(is4);
  let behind = 0;
  for (const [i, other] of list.entries()) {
    if (!other.secondary && address.scope <= other.scope) behind = i + 1;
    if (!sameSubnet(other, address)) continue;
    if (other.prefix.address === address.prefix.address) return duplicate(device, address, other.origin, report);
    if (other.scope !== address.scope) {
      report.error(
        "E0226",
        spanOf(address.origin),
        `${formatPrefix(address.prefix)} has another scope than its subnet`,
        {
          label: "addresses of one subnet share their scope",
          ...definedAt(other.origin.span, `${formatPrefix(other.prefix)} came first`),
          kernel: "RTNETLINK answers: Invalid argument",
        },
      );
      return false;
    }
    address.secondary = true;
  }
  list.splice(address.secondary ? list.length : behind, 0, address);
  device.addresses = [...list, ...device.addresses.filter((a) => !is4(a))];
  return true;
}

function insert6(device: DeviceDraft, address: AddressDraft, report: Reporter): boolean {
  const same = device.addresses.find((a) => a.prefix.address === address.prefix.address);
  if (same !== undefined) return duplicate(device, address, same.origin, report);
  const before = device.addresses.findIndex((a) => !is4(a) && a.scope >= address.scope);
  device.addresses.splice(before < 0 ? device.addresses.length : before, 0, address);
  return true;
}

function duplicate(device: DeviceDraft, address: AddressDraft, first: Origin, report: Reporter): false {
  report.error("E0227", spanOf(address.origin), `\`${device.name}\` already has ${formatPrefix(address.prefix)}`, {
    label: "given again",
    ...definedAt(first.span, "first given here"),
    kernel: "RTNETLINK answers: File exists",
    help: [{ message: "remove one of the two", edit: removal(report.source, spanOf(address.origin)) }],
  });
  return false;
}

const spanOf = (origin: Origin): Span => origin.span ?? { start: 0, end: 0 };

/** The device that has this address, if any (for messages). */
export const ownerOf = (net: NetDraft, ip: Ip): DeviceDraft | undefined =>
  net.devices.find((d) => d.addresses.some((a) => a.prefix.address === ip));

export const fullLength = (ip: Ip): Prefix => ({ address: ip, length: bitsOf(familyOf(ip)) });
