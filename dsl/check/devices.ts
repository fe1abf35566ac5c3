/**
 * Devices of a namespace: names, kinds, ifindexes, MAC addresses, MTUs and masters.
 *
 *   collectDevices   what the text says about each device, in order of appearance, `lo` first
 *   createDevices    the devices with every default filled in
 *   enslave          `master NAME`, once all devices exist
 */
import type { IfIndex, TableId } from "../../runtime/brand.ts";
import { ifIndex, LOOPBACK_IFINDEX, NO_DEVICE, tableId } from "../../runtime/brand.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import { formatMac, isGroup } from "../../runtime/net/mac.ts";
import type { DeviceProperty, Interface, Name, Vrf } from "../ast.ts";
import type { DeviceKind } from "../model.ts";
import type { Span } from "../span.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { addDevice, deviceByName, kernelOrigin } from "./draft.ts";
import type { NamespaceItems } from "./gather.ts";
import { AS_MASTER, definedAt, didYouMean, parseU32, requireTable, requireVrf } from "./names.ts";
import type { Reporter } from "./report.ts";
import { removal } from "./report.ts";
import { defaultConf } from "./sysctls.ts";

type PropertyOf<K extends DeviceProperty["kind"]> = Extract<DeviceProperty, { kind: K }>;

/** What the text says about one device: its blocks in order (the first defines, those of a test extend and override). */
export interface DeviceSpec {
  readonly name: Name;
  readonly keyword: "vrf" | "interface";
  readonly blocks: (Vrf | Interface)[];
}

export const propertiesOf = (spec: DeviceSpec): DeviceProperty[] =>
  spec.blocks.flatMap((block) => [...block.properties]);

/** The property of that kind that counts: the last. */
export function propertyOf<K extends DeviceProperty["kind"]>(
  spec: DeviceSpec | undefined,
  kind: K,
): PropertyOf<K> | undefined {
  return spec && propertiesOf(spec).findLast((p): p is PropertyOf<K> => p.kind === kind);
}

const LOOPBACK = "lo";

export function collectDevices(namespace: NamespaceItems, report: Reporter): Map<string, DeviceSpec> {
  const specs = new Map<string, DeviceSpec>();
  for (const { item, added } of namespace.items) {
    if (item.kind !== "vrf" && item.kind !== "interface") continue;
    const name = item.name.value;
    const known = specs.get(name);
    if (known === undefined) {
      checkName(item.name, report);
      specs.set(name, { name: item.name, keyword: item.kind, blocks: [item] });
    } else if (added || name === LOOPBACK) known.blocks.push(item);
    else {
      report.error("E0208", item.name.span, `\`${name}\` is defined twice in namespace \`${namespace.name}\``, {
        label: "defined again",
        kernel: "RTNETLINK answers: File exists",
        ...definedAt(known.name.span, `\`${name}\` is first defined here`),
      });
    }
  }
  for (const spec of specs.values()) for (const block of spec.blocks) checkOnce(block, report);
  return specs;
}

/** Kernel: `dev_valid_name`, IFNAMSIZ 16 with the terminating zero. */
function checkName(name: Name, report: Reporter): void {
  const { value } = name;
  if (value !== "" && value.length < 16 && value !== "." && value !== ".." && !/[/:\s]/.test(value)) return;
  report.error("E0209", name.span, `\`${value}\` is not a device name`, {
    label: value.length >= 16 ? `${value.length} characters, 15 are possible` : "no `/`, `:` or blank, not `.` or `..`",
    kernel:
      value.length >= 16
        ? "Error: Attribute failed policy validation."
        : `Error: argument "${value}" is wrong: "name" not a valid ifname`,
  });
}

/** Every property but `address` has one value. */
function checkOnce(block: Vrf | Interface, report: Reporter): void {
  const first = new Map<string, Span>();
  for (const property of block.properties) {
    if (property.kind === "address") continue;
    const earlier = first.get(property.kind);
    if (earlier === undefined) first.set(property.kind, property.span);
    else {
      const word = property.kind === "state" ? "up/down" : property.kind;
      report.error("E0210", property.span, `\`${word}\` is said twice for \`${block.name.value}\``, {
        label: "said again",
        secondary: [{ span: earlier, message: "said first here" }],
        help: [{ message: "remove one of the two", edit: removal(report.source, property.span) }],
      });
    }
  }
}

/** MAC addresses handed out so far: deterministic, locally administered, unique over all namespaces of a text. */
export interface MacPool {
  readonly taken: Set<Mac>;
}

/** `02:00:00:NN:DD:DD`: namespace index and the device's position in it. */
const FIRST_MAC: Mac = 0x020000000000;
function nextMac(pool: MacPool, net: NetDraft): Mac {
  let mac = FIRST_MAC + net.index * 0x10000 + net.devices.length + 1;
  while (pool.taken.has(mac)) mac += 0x1000000;
  pool.taken.add(mac);
  return mac;
}

/** What a real device says of itself. */
export interface MachineDevice {
  readonly mac: Mac;
  /** Bytes of an IP packet. */
  readonly mtu: number;
}

/** @param real devices of the machine, whose addresses and MTUs stand where the text gives none */
export function createDevices(
  net: NetDraft,
  specs: Map<string, DeviceSpec>,
  macs: MacPool,
  report: Reporter,
  real?: ReadonlyMap<string, MachineDevice>,
): void {
  const indexes = fixedIndexes(specs, report);
  const taken = new Set(indexes.values());
  addDevice(net, createLoopback(specs.get(LOOPBACK), report));
  let last: number = LOOPBACK_IFINDEX;
  for (const [name, spec] of specs) {
    if (name === LOOPBACK) continue;
    let index = indexes.get(name);
    // Kernel: dev_new_index: the next one that is free.
    if (index === undefined) {
      do last++;
      while (taken.has(last));
      index = last;
    }
    const device = createDevice(net, spec, ifIndex(index), macs, report);
    const own = real?.get(name);
    if (own !== undefined && propertyOf(spec, "lladdr") === undefined) device.mac = own.mac;
    if (own !== undefined && propertyOf(spec, "mtu") === undefined) device.mtu = own.mtu;
    addDevice(net, device);
  }
}

/** `index N`: these ifindexes are fixed, the others go around them. */
function fixedIndexes(specs: Map<string, DeviceSpec>, report: Reporter): Map<string, number> {
  const byIndex = new Map<number, DeviceSpec>();
  const byName = new Map<string, number>();
  for (const [name, spec] of specs) {
    const property = propertyOf(spec, "index");
    if (property === undefined) continue;
    const { value, span } = property.index;
    const other = byIndex.get(value);
    const free = name === LOOPBACK ? value === LOOPBACK_IFINDEX : value !== LOOPBACK_IFINDEX;
    if (!Number.isInteger(value) || value < 1 || value > 0x7fffffff) {
      report.error("E0211", span, `ifindex ${value} is out of range`, { label: "1 to 2147483647" });
    } else if (!free || other !== undefined) {
      const owner = other?.name.value ?? LOOPBACK;
      report.error("E0211", span, `ifindex ${value} is \`${owner}\`'s`, {
        label: "already taken",
        kernel: "RTNETLINK answers: File exists",
        ...definedAt(other?.name.span, `\`${owner}\` has it`),
      });
    } else {
      byIndex.set(value, spec);
      byName.set(name, value);
    }
  }
  return byName;
}

/** `lo` of every namespace: ifindex 1, up, 65536 bytes (kernel: `loopback_setup`). */
function createLoopback(spec: DeviceSpec | undefined, report: Reporter): DeviceDraft {
  for (const property of spec ? propertiesOf(spec) : []) {
    if (["table", "peer", "type", "master", "lladdr"].includes(property.kind))
      misplaced(property, LOOPBACK, "loopback", report);
  }
  return {
    ...common(spec, "loopback", report),
    ifindex: LOOPBACK_IFINDEX,
    name: LOOPBACK,
    mac: 0,
    origin: spec ? { span: spec.name.span } : kernelOrigin("every namespace has lo"),
  };
}

const KINDS: ReadonlyMap<string, DeviceKind> = new Map([
  ["veth", "veth"],
  ["dummy", "dummy"],
]);

/** What the keyword and `type` say; an `interface` without a type is a veth: with a peer in the text, or a port to the outside. */
function kindOf(spec: DeviceSpec, report: Reporter): DeviceKind {
  if (spec.keyword === "vrf") return "vrf";
  const type = propertyOf(spec, "type");
  const kind = type && KINDS.get(type.type.value);
  if (type && kind === undefined) {
    const vrf = type.type.value === "vrf";
    report.error("E0212", type.type.span, `no device type \`${type.type.value}\``, {
      label: "`veth` or `dummy`",
      ...(vrf
        ? { help: [{ message: `a VRF is written \`vrf ${spec.name.value} { table N }\`` }] }
        : didYouMean(type.type, KINDS.keys())),
    });
  }
  return kind ?? "veth";
}

/** Properties that make no sense on a kind of device. */
const MISPLACED: { readonly [K in DeviceKind]?: readonly DeviceProperty["kind"][] } = {
  vrf: ["peer", "type"],
  veth: ["table"],
  dummy: ["table", "peer"],
};

function misplaced(property: DeviceProperty, device: string, kind: DeviceKind, report: Reporter): void {
  const words: { readonly [K in DeviceKind]: string } = {
    loopback: "the loopback device",
    veth: "an interface",
    dummy: "a dummy interface",
    vrf: "a VRF",
  };
  if (property.kind === "master" && kind === "loopback") {
    report.error("E0213", property.span, "`lo` cannot be put into a VRF", {
      label: "the VRF device is its own loopback",
      kernel: "Error: Can not enslave loopback device to a VRF.",
      help: [{ message: "give the VRF the address instead: `vrf NAME { address 127.0.0.1/8 }`" }],
    });
    return;
  }
  report.error(
    "E0214",
    property.span,
    `\`${property.kind}\` has no meaning for \`${device}\`, which is ${words[kind]}`,
    {
      label: "not possible here",
      help: [{ message: "remove it", edit: removal(report.source, property.span) }],
    },
  );
}

function createDevice(net: NetDraft, spec: DeviceSpec, index: IfIndex, macs: MacPool, report: Reporter): DeviceDraft {
  const kind = kindOf(spec, report);
  const type = propertyOf(spec, "type");
  const known = type === undefined || KINDS.has(type.type.value);
  for (const property of known ? propertiesOf(spec) : []) {
    if (MISPLACED[kind]?.includes(property.kind)) misplaced(property, spec.name.value, kind, report);
  }
  const device = {
    ...common(spec, kind, report),
    ifindex: index,
    mac: macOf(net, spec, macs, report),
    table: kind === "vrf" ? vrfTable(net, spec, report) : tableId(0),
  };
  if (kind === "vrf" && device.table !== 0 && !net.tableNames.has(device.table))
    net.tableNames.set(device.table, device.name);
  return device;
}

function common(spec: DeviceSpec | undefined, kind: DeviceKind, report: Reporter): DeviceDraft {
  const qdisc = propertyOf(spec, "qdisc");
  return {
    ifindex: NO_DEVICE,
    name: spec?.name.value ?? "",
    kind,
    mac: 0,
    mtu: mtuOf(spec, kind, report),
    up: propertyOf(spec, "state")?.up ?? true,
    master: NO_DEVICE,
    table: tableId(0),
    peer: null,
    group: propertyOf(spec, "group")?.group.value ?? 0,
    qdiscDefault: qdisc === undefined || qdisc.qdisc.value === "noqueue" || kind !== "vrf",
    addresses: [],
    conf: defaultConf(),
    ipv6: true,
    carrier: true,
    ignoreLinkdown6: false,
    origin: { ...(spec ? { span: spec.name.span } : {}) },
    ...(spec ? { nameSpan: spec.name.span } : {}),
  };
}

/** Bytes; default, least and most (kernel: `veth_setup`, `vrf_setup`, `dummy_setup`, `loopback_setup`). */
export const MTU: {
  readonly [K in DeviceKind]: { readonly usual: number; readonly least: number; readonly most: number };
} = {
  loopback: { usual: 65536, least: 0, most: 0x7fffffff },
  veth: { usual: 1500, least: 68, most: 65535 },
  dummy: { usual: 1500, least: 0, most: 0x7fffffff },
  vrf: { usual: 65575, least: 1280, most: 65575 },
};

function mtuOf(spec: DeviceSpec | undefined, kind: DeviceKind, report: Reporter): number {
  const { usual, least, most } = MTU[kind];
  const mtu = propertyOf(spec, "mtu")?.mtu;
  if (mtu === undefined) return usual;
  if (mtu.value >= least && mtu.value <= most) return mtu.value;
  report.error("E0215", mtu.span, `mtu ${mtu.value} is out of range for a ${kind} device`, {
    label: `${least} to ${most} bytes`,
    kernel: `Error: mtu ${mtu.value < least ? "less than device minimum" : "greater than device maximum"}.`,
  });
  return usual;
}

/** Kernel: `is_valid_ether_addr`: neither a group address nor zero. */
function macOf(net: NetDraft, spec: DeviceSpec, macs: MacPool, report: Reporter): Mac {
  const lladdr = propertyOf(spec, "lladdr");
  const usual = nextMac(macs, net);
  if (lladdr === undefined) return usual;
  const { value, span } = lladdr.mac;
  if (value !== 0 && !isGroup(value)) {
    macs.taken.add(value);
    return value;
  }
  report.error("E0216", span, `${formatMac(value)} cannot be the address of a device`, {
    label: value === 0 ? "all zero" : "a group address: the lowest bit of its first byte is set",
    kernel: "RTNETLINK answers: Cannot assign requested address",
  });
  return usual;
}

function vrfTable(net: NetDraft, spec: DeviceSpec, report: Reporter): TableId {
  const property = propertyOf(spec, "table");
  if (property === undefined) {
    const name = spec.name.value;
    report.error("E0217", spec.name.span, `VRF \`${name}\` has no table`, {
      label: "which table does it route by?",
      kernel: "Error: VRF table id is missing.",
      help: [{ message: `say it: \`vrf ${name} { table 100 }\`` }],
    });
    return tableId(0);
  }
  if (parseU32(property.table.value) === 0) {
    report.error("E0218", property.table.span, "a VRF cannot route by table 0", {
      label: "1 to 4294967295",
      kernel: "Error: Invalid VRF table id.",
    });
    return tableId(0);
  }
  return requireTable(net, property.table, report) ?? tableId(0);
}

/** `master NAME`: makes the device a slave of a VRF of the same namespace (kernel: `vrf_add_slave`). */
export function enslave(net: NetDraft, specs: Map<string, DeviceSpec>, report: Reporter): void {
  for (const spec of specs.values()) {
    const property = propertyOf(spec, "master");
    const device = deviceByName(net, spec.name.value);
    if (property === undefined || device === undefined || device.kind === "loopback") continue;
    if (device.kind === "vrf") {
      report.error("E0219", property.span, `VRF \`${device.name}\` cannot be put into another VRF`, {
        label: "VRFs do not nest",
        kernel: "Error: Can not enslave an L3 master device to a VRF.",
      });
      continue;
    }
    const master = requireVrf(net, property.vrf, AS_MASTER, report);
    if (master) device.master = master.ifindex;
  }
}
