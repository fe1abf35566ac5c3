/**
 * State -> AST. Two questions are answered by the same walk over the state:
 *
 *   what is the network of the file?       all that is there                       emitNetwork
 *   what does a test add to it?            all that is there and was not then      emitAdditions
 *
 * The layout of a namespace: settings, devices in the order of their creation, then routes, rules, next hops and
 * neighbours in the order of their commands (Linux checks each against those before it). Neighbouring routes of one
 * table other than main stand in a `table N { }` block.
 */
import type {
  DeviceProperty,
  Hop,
  Item,
  Namespace,
  Node,
  Route as RouteNode,
  Rule as RuleNode,
  Sysctl,
  Table,
} from "../../dsl/ast.ts";
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { AsWritten } from "./as-written.ts";
import { isDeadHop, isShadowed, shadows, twinsOf } from "./fib.ts";
import type { Device, Entered, NetNs, Network, Noted } from "./state.ts";
import { Address, NeighbourEntry, NextHopEntry, Route, RuleEntry, RuleRemoval, SysctlEntry } from "./state.ts";
import { tableText } from "./words.ts";

// ---- the network of the file, remembered --------------------------------------------------------------------------

/** What was there at the first ping. */
export interface Snapshot {
  readonly members: ReadonlySet<Noted>;
  readonly devices: ReadonlyMap<Device, DeviceSnapshot>;
  readonly lostPrefixRoutes: ReadonlySet<Address>;
}

interface DeviceSnapshot {
  readonly ns: NetNs;
  readonly name: string;
  readonly isUp: boolean;
  readonly master: Device | null;
  readonly settings: ReadonlySet<DeviceProperty>;
}

export function takeSnapshot(network: Network): Snapshot {
  const devices = network.namespaces.flatMap((ns) => ns.devices);
  return {
    members: new Set(network.namespaces.flatMap(membersOf)),
    devices: new Map(devices.map((device) => [device, snapshotOf(device)])),
    lostPrefixRoutes: new Set(
      devices.flatMap((device) => device.addresses).filter((address) => address.lostPrefixRoute),
    ),
  };
}

const snapshotOf = (device: Device): DeviceSnapshot => ({
  ns: device.ns,
  name: device.name.value,
  isUp: device.isUp,
  master: device.master?.vrf ?? null,
  settings: new Set(device.settings.values()),
});

const membersOf = (ns: NetNs): Noted[] => [
  ns,
  ...ns.devices,
  ...ns.devices.flatMap((device) => device.addresses),
  ...ns.entered.filter((entry) => isThere(ns, entry)),
  ...ns.sysctls,
];

/** Still there; other kinds of things are not asked about. */
function isThere(ns: NetNs, entry: Noted): boolean {
  if (entry instanceof Route) return ns.routes.has(entry);
  if (entry instanceof RuleEntry) return ns.rules[entry.family].includes(entry);
  if (entry instanceof NextHopEntry) return ns.nexthops.includes(entry);
  if (entry instanceof NeighbourEntry) return ns.neighbours.includes(entry);
  return true;
}

/**
 * What has happened to the network of the file that adding cannot undo, each in words; an object stands for one change,
 * so that it is reported once. A rule that went can be taken away by `no rule`, a setting overridden.
 */
export function lostSince(base: Snapshot, network: Network): Map<Noted, string> {
  const now = new Set(network.namespaces.flatMap(membersOf));
  const lost = new Map<Noted, string>();
  for (const [device, was] of base.devices) {
    const change = now.has(device) ? deviceChange(device, was) : null;
    if (change !== null) lost.set(device, change);
  }
  for (const address of base.members) {
    if (!(address instanceof Address) || !now.has(address) || !address.lostPrefixRoute) continue;
    if (!base.lostPrefixRoutes.has(address)) lost.set(address, "a test cannot take away the route of an address");
  }
  for (const member of base.members) {
    if (now.has(member) || OVERRIDABLE.some((type) => member instanceof type)) continue;
    lost.set(member, "a test can add to the network of the file, but not take away from it");
  }
  for (const ns of network.namespaces) if (!base.members.has(ns)) lost.set(ns, "a test cannot add a namespace");
  return lost;
}

const OVERRIDABLE = [RuleEntry, RuleRemoval, SysctlEntry] as const;

function deviceChange(device: Device, was: DeviceSnapshot): string | null {
  if (was.isUp && !device.isUp) return "a test cannot take a device down and lose what hung on it";
  const isElsewhere =
    was.master !== (device.master?.vrf ?? null) || was.ns !== device.ns || was.name !== device.name.value;
  return isElsewhere ? "a test cannot move or rename a device of the file" : null;
}

// ---- emission -----------------------------------------------------------------------------------------------------

/** Every namespace with everything in it. `seen` collects what became text, for comments that would be lost. */
export function emitNetwork(network: Network, seen: Set<Noted>): Namespace[] {
  return network.namespaces.map((ns, i) => emitNamespace(network, ns, null, seen, i > 0));
}

/** What is there now and was not in the snapshot; empty when nothing was added. */
export function emitAdditions(network: Network, base: Snapshot): Namespace[] {
  const known = network.namespaces.filter((ns) => base.members.has(ns));
  return known.map((ns) => emitNamespace(network, ns, base, new Set(), false)).filter((ns) => ns.items.length > 0);
}

function emitNamespace(
  network: Network,
  ns: NetNs,
  base: Snapshot | null,
  seen: Set<Noted>,
  blankBefore: boolean,
): Namespace {
  seen.add(ns);
  const isNew = (noted: Noted): boolean => !base?.members.has(noted);
  const settings = ns.sysctls.filter(isNew).map((entry) => emitSysctl(entry, seen));
  const devices = ns.devices.map((device) => emitDevice(network, device, base, seen)).filter((item) => item !== null);
  const entered = emitEntered(ns, base, seen);
  const items = [settings, devices, entered].filter((group) => group.length > 0).flatMap(spaced);
  return {
    kind: "namespace",
    span: ns.name.span,
    name: ns.name,
    items,
    ...(base ? {} : noteOf(ns)),
    ...(blankBefore ? { blankBefore } : {}),
  };
}

/** A blank line above each group but the first, and above an item with comments. */
function spaced(group: readonly Item[], at: number): Item[] {
  return group.map((item, i) =>
    (at > 0 && i === 0) || (item.comments && (at > 0 || i > 0)) ? { ...item, blankBefore: true } : item,
  );
}

function noteOf(noted: Noted): Pick<Node, "comments" | "trailing"> {
  return {
    ...(noted.comments.length > 0 ? { comments: [...noted.comments] } : {}),
    ...(noted.trailing !== undefined ? { trailing: noted.trailing } : {}),
  };
}

function emitSysctl(entry: SysctlEntry, seen: Set<Noted>): Sysctl {
  seen.add(entry);
  const { key, setting, device } = entry;
  const name =
    device === null ? key.value : key.value.replace(/\.conf\.(.+)\.([^.]+)$/, `.conf.${device.name.value}.$2`);
  return { kind: "sysctl", span: setting.span, key: { ...key, value: name }, setting, ...noteOf(entry) };
}

// ---- devices ------------------------------------------------------------------------------------------------------

/** Null when there is nothing to say about it (a loopback device as usual, or no addition). */
function emitDevice(network: Network, device: Device, base: Snapshot | null, seen: Set<Noted>): Item | null {
  const was = base?.devices.get(device);
  seen.add(device);
  const properties = was ? addedProperties(device, was, base, seen) : allProperties(network, device, seen);
  if (properties.length === 0 && (was || device.kind === "loopback") && device.comments.length === 0) return null;
  if (properties.length === 0 && was) return null;
  const node = { span: device.name.span, name: device.name, properties, ...(was ? {} : noteOf(device)) };
  return device.kind === "vrf" ? { kind: "vrf", ...node } : { kind: "interface", ...node };
}

function allProperties(network: Network, device: Device, seen: Set<Noted>): DeviceProperty[] {
  const { span } = device.name;
  const properties: DeviceProperty[] = [];
  if (device.kind === "vrf")
    properties.push({ kind: "table", span, table: { value: tableText(device.table.value), span: device.table.span } });
  if (device.kind === "dummy") properties.push({ kind: "type", span, type: { value: "dummy", span } });
  if (device.master)
    properties.push({
      kind: "master",
      span: device.master.span,
      vrf: { value: device.master.vrf.name.value, span: device.master.span },
    });
  const addresses = device.addresses.filter((address) => !address.isDormant);
  properties.push(...addresses.map((address) => emitAddress(address, seen)), ...device.settings.values());
  if (device.peer && isFirstEnd(network, device, device.peer))
    properties.push({ kind: "peer", span, namespace: { ...device.peer.ns.name }, device: device.peer.name });
  if (!device.isUp) properties.push({ kind: "state", span, up: false });
  return properties;
}

function addedProperties(
  device: Device,
  was: DeviceSnapshot,
  base: Snapshot | null,
  seen: Set<Noted>,
): DeviceProperty[] {
  const addresses = device.addresses.filter((address) => !base?.members.has(address) && !isReplacement(address, base));
  const settings = [...device.settings.values()].filter((setting) => !was.settings.has(setting));
  const up: DeviceProperty[] = device.isUp && !was.isUp ? [{ kind: "state", span: device.name.span, up: true }] : [];
  return [...addresses.map((address) => emitAddress(address, seen)), ...settings, ...up];
}

/** The network of the file still has the address that this one replaced. */
const isReplacement = (address: Address, base: Snapshot | null): boolean =>
  [...(base?.members ?? [])].some(
    (member) => member instanceof Address && member.local === address.local && member.device === address.device,
  );

function emitAddress(address: Address, seen: Set<Noted>): DeviceProperty {
  seen.add(address);
  return { ...address.node, ...(address.lostPrefixRoute ? { noprefixroute: true } : {}), ...noteOf(address) };
}

/** The wire is told once, at the end that comes first in the text. */
function isFirstEnd(network: Network, device: Device, peer: Device): boolean {
  const place = ({ ns }: Device) => network.namespaces.indexOf(ns);
  if (place(device) !== place(peer)) return place(device) < place(peer);
  return device.ns.devices.indexOf(device) < device.ns.devices.indexOf(peer);
}

// ---- routes, rules, next hops, neighbours -------------------------------------------------------------------------

function emitEntered(ns: NetNs, base: Snapshot | null, seen: Set<Noted>): Item[] {
  const items: Item[] = [];
  let run: Route[] = [];
  const written = new AsWritten(ns);
  const flush = () => {
    items.push(...emitRoutes(ns, run, written));
    run = [];
  };
  for (const entry of withTwins(ns)) {
    if (!isWanted(ns, entry, base)) {
      if (entry instanceof Route && isThere(ns, entry)) written.skip(entry);
      continue;
    }
    seen.add(entry);
    const isSameTable = entry instanceof Route && run.length > 0 && run[0].table === entry.table;
    if (run.length > 0 && !isSameTable) flush();
    if (entry instanceof Route) run.push(entry);
    else items.push(emitEntry(entry, written));
  }
  flush();
  return [...items, ...strayKernelRules(ns, base)];
}

/** What was entered, with routes of one identity together, in the order in which Linux tries them. */
function withTwins(ns: NetNs): Entered[] {
  const placed = new Set<Entered>();
  return ns.entered.flatMap((entry) => {
    if (placed.has(entry)) return [];
    const together = entry instanceof Route && ns.routes.has(entry) ? twinsOf(entry) : [entry];
    for (const one of together) placed.add(one);
    return together;
  });
}

function isWanted(ns: NetNs, entry: Entered, base: Snapshot | null): boolean {
  if (base?.members.has(entry)) return false;
  if (entry instanceof RuleRemoval)
    return base ? base.members.has(entry.rule) || entry.rule.isKernel : entry.rule.isKernel;
  // What replaced something of the file would stand beside it in a test.
  return (
    isThere(ns, entry) &&
    ![...(base?.members ?? [])].some((member) => !isThere(ns, member) && isSameThing(member, entry))
  );
}

function isSameThing(old: Noted, entry: Entered): boolean {
  if (old instanceof Route && entry instanceof Route) return old.ns === entry.ns && shadows(old, entry);
  if (old instanceof NextHopEntry && entry instanceof NextHopEntry) return old.node.id.value === entry.node.id.value;
  if (old instanceof NeighbourEntry && entry instanceof NeighbourEntry)
    return old.device === entry.device && old.node.address.value === entry.node.address.value;
  return false;
}

/** One route of another table says its table itself, several share a block. */
function emitRoutes(ns: NetNs, routes: readonly Route[], written: AsWritten): Item[] {
  const [first] = routes;
  if (routes.length < 2 || first.table === RT_TABLE_MAIN || routes.some(({ node }) => !node.table && !node.vrf))
    return routes.map((route) => emitRoute(ns, route, true, written));
  const table: Table = {
    kind: "table",
    span: first.node.span,
    name: { value: tableText(first.table), span: first.node.table?.span ?? first.node.span },
    routes: routes.map((route) => emitRoute(ns, route, false, written)),
  };
  return [table];
}

function emitRoute(ns: NetNs, route: Route, withTable: boolean, written: AsWritten): RouteNode {
  const { table: _table, vrf: _vrf, ...node } = route.node;
  const isDead = (i: number): boolean =>
    node.hops.length > 1 && i < route.hops.length && isDeadHop(route, route.hops[i]);
  const hops = written.route(route, isDead).map((hop, i) => emitHop(hop, route.hops[i]?.device ?? null));
  return {
    ...node,
    ...(isShadowed(route) ? { append: true as const } : {}),
    hops: hops.map((hop, i) => (isDead(i) ? { ...hop, dead: true } : hop)),
    ...(withTable ? tableWords(ns, route) : {}),
    ...noteOf(route),
  };
}

/** `vrf NAME` only as long as that is the VRF's name and table. */
function tableWords(ns: NetNs, { node, table }: Route): Pick<RouteNode, "table" | "vrf"> {
  if (node.vrf === undefined) return node.table ? { table: node.table } : {};
  const vrf = ns.device(node.vrf.value);
  return vrf?.kind === "vrf" && vrf.table.value === table
    ? { vrf: node.vrf }
    : { table: { value: tableText(table), span: node.vrf.span } };
}

/** Devices by the name that they have now. */
const emitHop = (hop: Hop, device: Device | null): Hop =>
  hop.dev && device ? { ...hop, dev: { ...hop.dev, value: device.name.value } } : hop;

function emitEntry(entry: Exclude<Entered, Route>, written: AsWritten): Item {
  if (entry instanceof RuleRemoval) return emitRemoval(entry);
  if (entry instanceof RuleEntry) return { ...entry.node, ...noteOf(entry) };
  if (entry instanceof NextHopEntry) {
    const hop = written.nextHop(entry);
    return { ...entry.node, ...(hop ? { hop: emitHop(hop, entry.device) } : {}), ...noteOf(entry) };
  }
  return { ...entry.node, dev: { ...entry.node.dev, value: entry.device.name.value }, ...noteOf(entry) };
}

/** `no rule 0 lookup local` */
function emitRemoval(entry: RuleRemoval): RuleNode {
  const { rule, span } = entry;
  const { comments: _comments, trailing: _trailing, protocol: _protocol, ...node } = rule.node;
  return {
    ...node,
    family: { value: rule.family, span },
    pref: { value: rule.pref, span },
    span,
    delete: true,
    ...noteOf(entry),
  };
}

/** The l3mdev rule of the first VRF stays when the last VRF goes; vrfc makes it for a VRF only. */
function strayKernelRules(ns: NetNs, base: Snapshot | null): RuleNode[] {
  if (base !== null || ns.devices.some((device) => device.kind === "vrf")) return [];
  return ([4, 6] as const).flatMap((family) =>
    ns.rules[family].filter((rule) => rule.isKernel && rule.node.l3mdev).map((rule) => rule.node),
  );
}
