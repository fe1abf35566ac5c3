/**
 * Devices, addresses and neighbours of a dump, put into a namespace as they are: nothing about them depends on an order.
 *
 *   ifindexes   those that the checker would not give itself are written out
 *   kinds       vrf, dummy, veth; everything else is an interface whose wire leads out of the text
 *   wires       two veths that name each other's index (`link`, `link_index`)
 */
import type { AddressProperty } from "../../../dsl/ast.ts";
import type { Span } from "../../../dsl/span.ts";
import { formatIp } from "../../../runtime/net/ip.ts";
import { addDevice } from "../devices.ts";
import { Address, Device, type DeviceKind, isSamePrefix, NeighbourEntry, type NetNs, subnetOf } from "../state.ts";
import { groupWord, macWord, parseIp, parseNumber } from "../words.ts";
import { type Entry, entryOf, hasFlag, listOf, type NamespaceDump, nameOf, numberOf, textOf } from "./form.ts";

/** What is told on the way: `line` makes a place for it in the text of the dump. */
export interface Teller {
  /** A line that stands for an entry of the dump. */
  line(text: string): Span;
  warn(message: string, at: Span): void;
}

/** A device with the entry that it comes from. */
export interface DumpedDevice {
  readonly device: Device;
  readonly link: Entry;
}

export function addDevices(ns: NetNs, dump: NamespaceDump, tell: Teller): DumpedDevice[] {
  const links = [...(dump.link ?? [])].sort((a, b) => (numberOf(a, "ifindex") ?? 0) - (numberOf(b, "ifindex") ?? 0));
  const dumped = links.flatMap((link, i) => addLink(ns, link, i + 1, tell));
  for (const { device, link } of dumped) setMasterOf(ns, device, link, tell);
  return dumped;
}

/** What `ip link` calls the kinds that the language has. */
const KINDS = new Map<string | undefined, DeviceKind>([
  ["vrf", "vrf"],
  ["dummy", "dummy"],
  ["veth", "veth"],
  [undefined, "machine"],
]);

function addLink(ns: NetNs, link: Entry, place: number, tell: Teller): DumpedDevice[] {
  const name = textOf(link, "ifname");
  const ifindex = numberOf(link, "ifindex");
  const span = tell.line(`link ${name ?? "?"}`);
  if (name === undefined || ifindex === undefined) {
    tell.warn("a link without `ifname` and `ifindex`", span);
    return [];
  }
  const isLoopback = hasFlag(link, "LOOPBACK");
  const device = isLoopback ? ns.devices[0] : createDevice(ns, link, { value: name, span }, tell);
  device.isUp = hasFlag(link, "UP");
  setSettings(device, link, span);
  if (!isLoopback && ifindex !== place)
    device.settings.set("index", { kind: "index", span, index: { value: ifindex, span } });
  return [{ device, link }];
}

function createDevice(ns: NetNs, link: Entry, name: { value: string; span: Span }, tell: Teller): Device {
  const info = entryOf(link, "linkinfo");
  const kindText = textOf(info, "info_kind");
  const kind = KINDS.get(kindText) ?? "machine";
  if (kindText !== undefined && !KINDS.has(kindText))
    tell.warn(`\`${name.value}\` is a ${kindText} device: taken as an interface whose wire leads elsewhere`, name.span);
  const table = numberOf(entryOf(info, "info_data"), "table") ?? 0;
  const device = new Device(ns, name, kind, kind === "vrf" ? { value: table, span: name.span } : undefined);
  addDevice(device);
  return device;
}

/** Bytes; what a device of the kind has unless it is told otherwise. */
const USUAL_MTU: { readonly [K in DeviceKind]: number } = {
  loopback: 65536,
  veth: 1500,
  dummy: 1500,
  vrf: 65575,
  machine: 1500,
};

function setSettings(device: Device, link: Entry, span: Span): void {
  const mtu = numberOf(link, "mtu");
  if (mtu !== undefined && mtu !== USUAL_MTU[device.kind])
    device.settings.set("mtu", { kind: "mtu", span, mtu: { value: mtu, span } });
  const mac = textOf(link, "address");
  if (device.kind !== "loopback" && mac !== undefined && /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac))
    device.settings.set("lladdr", { kind: "lladdr", span, mac: macWord({ text: mac, span }) });
  const group = nameOf(link, "group") ?? "default";
  if (group !== "default" && parseNumber(group) !== null && parseNumber(group) !== 0)
    device.settings.set("group", { kind: "group", span, group: groupWord({ text: group, span }, "") });
  const qdisc = textOf(link, "qdisc");
  if (device.kind === "vrf" && qdisc !== undefined && qdisc !== "noqueue")
    device.settings.set("qdisc", { kind: "qdisc", span, qdisc: { value: qdisc, span } });
}

function setMasterOf(ns: NetNs, device: Device, link: Entry, tell: Teller): void {
  const name = textOf(link, "master");
  if (name === undefined) return;
  const master = ns.device(name);
  const { span } = device.name;
  if (master?.kind === "vrf") device.master = { vrf: master, span };
  else
    tell.warn(`\`${device.name.value}\` is a port of \`${name}\`, which is no VRF: taken as a device of its own`, span);
}

// ---- wires ----------------------------------------------------------------------------------------------------------

/** Joins the veths that name each other; `all` are the devices of every namespace of the dump. */
export function joinWires(all: readonly DumpedDevice[], tell: Teller): void {
  for (const end of all) {
    if (end.device.kind !== "veth" || end.device.peer !== null) continue;
    const others = all.filter((other) => other !== end && other.device.peer === null && isOtherEnd(end, other));
    if (others.length === 1) {
      end.device.peer = others[0].device;
      others[0].device.peer = end.device;
    } else if (others.length > 1)
      tell.warn(`where the wire of \`${end.device.name.value}\` leads is not clear`, end.device.name.span);
  }
}

function isOtherEnd(a: DumpedDevice, b: DumpedDevice): boolean {
  if (b.device.kind !== "veth") return false;
  const [here, there] = [textOf(a.link, "link"), textOf(b.link, "link")];
  if (here !== undefined || there !== undefined)
    return a.device.ns === b.device.ns && here === b.device.name.value && there === a.device.name.value;
  const names = ({ link }: DumpedDevice, other: DumpedDevice): boolean =>
    numberOf(link, "link_index") === numberOf(other.link, "ifindex");
  return a.device.ns !== b.device.ns && names(a, b) && names(b, a);
}

// ---- addresses ------------------------------------------------------------------------------------------------------

export function addAddresses(ns: NetNs, dump: NamespaceDump, tell: Teller): void {
  for (const entry of dump.addr ?? []) {
    const device = ns.device(textOf(entry, "ifname") ?? "");
    if (device === undefined) continue;
    const infos = listOf(entry, "addr_info");
    const of = (family: string) => infos.filter((info) => textOf(info, "family") === family);
    // Of one scope, IPv6 addresses are listed newest first (ipv6_link_dev_addr).
    for (const info of [...of("inet"), ...of("inet6").reverse()]) addAddress(device, info, tell);
  }
}

function addAddress(device: Device, info: Entry, tell: Teller): void {
  const local = parseIp(textOf(info, "local") ?? "");
  const length = numberOf(info, "prefixlen");
  if (local === null || length === undefined || comesByItself(device, local)) return;
  const peer = parseIp(textOf(info, "address") ?? "");
  const span = tell.line(`addr ${formatIp(local)}/${length} dev ${device.name.value}`);
  if (info.tentative === true || info.dadfailed === true)
    tell.warn(`${formatIp(local)} is still being checked for duplicates: taken as a full address`, span);
  const scope = textOf(info, "scope");
  const metric = numberOf(info, "metric");
  const node: AddressProperty = {
    kind: "address",
    span,
    address: { value: { address: local, length: peer === null ? length : typeof local === "number" ? 32 : 128 }, span },
    ...(peer === null ? {} : { peer: { value: { address: peer, length }, span } }),
    ...(typeof local === "number" && scope !== undefined && scope !== "global"
      ? { scope: { value: scope, span } }
      : {}),
    ...(metric === undefined ? {} : { metric: { value: metric, span } }),
    ...(info.noprefixroute === true ? { noprefixroute: true } : {}),
  };
  const primary = device.addresses.some((other) => typeof local === "number" && isSameSubnet(other, node));
  device.addresses.push(new Address(device, node, primary));
}

const isSameSubnet = (other: Address, node: AddressProperty): boolean => {
  const subnet = subnetOf(node);
  return isSamePrefix(other.subnet, subnet);
};

/** 127.0.0.1 and ::1 of lo, and the link-local address that a MAC address gives. */
function comesByItself(device: Device, local: number | bigint): boolean {
  if (!device.isUp) return false;
  if (device.kind === "loopback") return local === 0x7f000001 || local === 1n;
  const lladdr = device.settings.get("lladdr");
  if (device.kind === "vrf" || lladdr?.kind !== "lladdr" || typeof local !== "bigint") return false;
  return local === ((0xfe80n << 112n) | eui64(lladdr.mac.value));
}

/** RFC 4291 appendix A: ff:fe between the halves of the MAC address, universal/local bit turned. */
function eui64(mac: number): bigint {
  const bits = BigInt(mac);
  return ((bits >> 24n) << 40n) ^ (0xfffen << 24n) ^ (bits & 0xffffffn) ^ (2n << 56n);
}

// ---- neighbours -----------------------------------------------------------------------------------------------------

/** Permanent entries stay; what was learnt passes away and is only counted. */
export function addNeighbours(ns: NetNs, dump: NamespaceDump, tell: Teller): void {
  let learnt = 0;
  for (const entry of dump.neigh ?? []) {
    const { state } = entry;
    const device = ns.device(textOf(entry, "dev") ?? "");
    const address = parseIp(textOf(entry, "dst") ?? "");
    const mac = textOf(entry, "lladdr");
    if (device === undefined || address === null || mac === undefined) continue;
    if (!Array.isArray(state) || !state.includes("PERMANENT")) {
      learnt++;
      continue;
    }
    if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac)) continue;
    const span = tell.line(`neigh ${formatIp(address)} lladdr ${mac} dev ${device.name.value} nud permanent`);
    const neighbour = new NeighbourEntry(device, {
      kind: "neighbour",
      span,
      address: { value: address, span },
      lladdr: macWord({ text: mac, span }),
      dev: { value: device.name.value, span },
    });
    ns.neighbours.push(neighbour);
    ns.entered.push(neighbour);
  }
  if (learnt > 0)
    tell.warn(`${learnt} neighbours are not permanent: they are asked for again when they are needed`, ns.name.span);
}
