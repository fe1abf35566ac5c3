/**
 * `ip link`: iproute2's iplink_parse, and what rtnl_newlink and do_setlink make of it.
 *
 *   add  [dev | name] NAME { property } type { vrf table N | veth [ peer NAME { property } ] | dummy }
 *   set  [dev] NAME { property }
 *   del  [dev] NAME
 *   property = up | down | name N | mtu N | address MAC | group G | netns NS | master D | nomaster | vrf D | index N | …
 */
import type { Name, Spanned } from "../../dsl/ast.ts";
import { MTU } from "../../dsl/check/devices.ts";
import type { Span } from "../../dsl/span.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import { addDevice, deleteDevice, moveDevice, requireFreeName, setMaster, setUp } from "./devices.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { Device, type NetNs } from "./state.ts";
import { requireFreeTable } from "./strict-mode.ts";
import {
  choose,
  Errno,
  groupWord,
  keywordOf,
  macWord,
  numberWord,
  Refused,
  tableWord,
  Unsupported,
  type Words,
} from "./words.ts";

/** In iproute2's order; `*`: any prefix will do. */
const PROPERTIES = [
  "up",
  "down",
  "name",
  "index",
  "link*",
  "address*",
  "broadcast*",
  "brd",
  "txqueuelen*",
  "qlen",
  "txqlen*",
  "mtu",
  "netns",
  "multicast",
  "allmulticast",
  "promisc",
  "trailers",
  "arp",
  "carrier",
  "master*",
  "vrf",
  "nomaster*",
  "dynamic*",
  "type*",
  "alias*",
  "group",
  "mode",
  "state",
  "numtxqueues*",
  "numrxqueues*",
  "addrgenmode*",
  "peer",
  "dev",
] as const;

/** With one argument, and nothing to do with forwarding. */
const WITHOUT_MEANING: readonly string[] = [
  "broadcast",
  "brd",
  "txqueuelen",
  "qlen",
  "txqlen",
  "allmulticast",
  "promisc",
  "trailers",
  "dynamic",
  "alias",
  "mode",
  "state",
  "numtxqueues",
  "numrxqueues",
  "addrgenmode",
];

interface LinkRequest {
  /** The device named, by `dev` or alone. */
  device?: Word;
  /** `name N` */
  name?: Word;
  up?: boolean;
  master?: Word | null;
  /** `vrf` instead of `master`: iproute2 asks what it is. */
  isVrf?: boolean;
  netns?: Word;
  mtu?: Spanned<number>;
  address?: Spanned<Mac>;
  group?: Spanned<number>;
  index?: Spanned<number>;
  type?: Word;
  table?: Spanned<number>;
  peer?: LinkRequest;
}

export function runLink(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  switch (
    choose(action.text, [
      "add",
      "set",
      "change",
      "replace",
      "delete",
      "show",
      "lst",
      "list",
      "xstats",
      "afstats",
      "property",
      "help",
    ])
  ) {
    case "add":
      addLink(run, parseLink(run, words));
      return;
    case "set":
    case "change":
      setLink(run, parseLink(run, words));
      return;
    case "delete":
      deleteLink(run, parseLink(run, words));
      return;
    case "show":
    case "lst":
    case "list":
    case "xstats":
    case "afstats":
    case "help":
      return;
    case null:
      throw new Refused(`Command "${action.text}" is unknown, try "ip link help".`, action.span);
    default:
      throw new Unsupported(`\`ip link ${action.text}\``, action.span);
  }
}

function parseLink(run: Run, words: Words): LinkRequest {
  const request: LinkRequest = {};
  while (!words.isDone) {
    const word = words.next();
    const keyword = keywordOf(word.text, PROPERTIES);
    if (keyword !== null && WITHOUT_MEANING.includes(keyword)) run.leaveOut(word, words.next());
    else if (keyword === "dev") nameDevice(request, words.next());
    else if (keyword === "type") return parseType(run, request, words);
    else if (keyword === null || keyword === "peer") nameDevice(request, word);
    else parseProperty(request, keyword, word, words);
  }
  return request;
}

function nameDevice(request: LinkRequest, word: Word): void {
  if (request.device) throw new Refused(`Error: either "dev" is duplicate, or "${word.text}" is a garbage.`, word.span);
  request.device = word;
}

function parseProperty(request: LinkRequest, keyword: string, word: Word, words: Words): void {
  switch (keyword) {
    case "up":
    case "down":
      request.up = keyword === "up";
      return;
    case "nomaster":
      request.master = null;
      return;
    case "master":
    case "vrf":
      request.master = words.next();
      request.isVrf = keyword === "vrf";
      return;
    case "name":
      request.name = words.next();
      return;
    case "netns":
      request.netns = words.next();
      return;
    case "mtu":
      request.mtu = numberWord(words.next(), 'Invalid "mtu" value\n');
      return;
    case "index":
      request.index = numberWord(words.next(), 'Invalid "index" value', 0x7fffffff);
      if (request.index.value === 0)
        throw new Refused('Error: argument "0" is wrong: Invalid "index" value', request.index.span);
      return;
    case "group":
      request.group = groupWord(words.next(), 'Invalid "group" value\n');
      return;
    case "address":
      request.address = macWord(words.next(), (bytes) => `Invalid address length ${bytes} - must be 6 bytes`);
      return;
    case "multicast":
    case "arp":
    case "carrier": {
      const state = words.next();
      if (state.text !== "on") throw new Unsupported(`\`${keyword} ${state.text}\``, word.span);
      return;
    }
    default:
      throw new Unsupported(`\`${keyword}\` of \`ip link\``, word.span);
  }
}

function parseType(run: Run, request: LinkRequest, words: Words): LinkRequest {
  request.type = words.next();
  if (request.type.text === "veth") {
    if (words.take("peer")) request.peer = parseLink(run, words);
    else if (!words.isDone)
      throw new Refused("Usage: ip link <options> type veth [peer <options>]", words.peek()?.span);
  } else if (request.type.text === "vrf") {
    while (!words.isDone) {
      const word = words.next();
      if (word.text !== "table") throw new Refused(`vrf: unknown option "${word.text}"?`, word.span);
      request.table = tableWord(words.next(), run.network.tables, "invalid table ID\n");
    }
    return request;
  }
  if (!words.isDone && ["veth", "dummy"].includes(request.type.text)) run.leaveOut(...words.rest());
  return request;
}

// ---- add ----------------------------------------------------------------------------------------------------------

/** Kinds of device that Linux has and vrfc has not. */
const KINDS = new Set(
  "amt bareudp batadv bond bridge can dsa erspan geneve gre gretap gtp hsr ifb ip6erspan ip6gre ip6gretap ip6tnl ipip ipoib ipvlan ipvtap lowpan macsec macvlan macvtap netdevsim netkit nlmon ovpn ppp rmnet sit team tun vcan virt_wifi vlan vti vti6 vxcan vxlan wireguard wwan xfrm".split(
    " ",
  ),
);

function addLink(run: Run, request: LinkRequest): void {
  const type = request.type;
  if (type === undefined) throw new Refused('Not enough information: "type" argument is required');
  const ns = namespaceOf(run, request) ?? run.ns;
  const name = nameOf(ns, request, type.text === "veth" ? "veth" : "dummy");
  requireFreeName(ns, name, request.name ? "name" : "dev");
  if (type.text === "vrf") {
    if (request.table === undefined) throw new Refused("Error: VRF table id is missing.", type.span);
    if (request.table.value === 0) throw new Refused("Error: Invalid VRF table id.", request.table.span);
    requireFreeTable(ns, request.table);
  } else if (type.text !== "veth" && type.text !== "dummy") {
    if (!KINDS.has(type.text)) throw new Refused("Error: Unknown device type.", type.span);
    ns.foreign.set(name.value, { span: name.span, what: `a ${type.text} device` });
    throw new Unsupported(`devices of type \`${type.text}\` are not in vrfc`, type.span);
  }
  masterOf(run, ns, request);
  const { mtu } = request;
  if (type.text === "veth" && mtu && (mtu.value < MTU.veth.least || mtu.value > MTU.veth.most))
    throw new Refused(Errno.EINVAL, mtu.span);
  const device = new Device(ns, name, type.text as "vrf" | "veth" | "dummy", request.table);
  if (device.kind === "veth") device.peer = addPeer(run, request.peer ?? {}, device);
  checkProperties(device, request);
  addDevice(device);
  configure(run, device, request);
  run.touch(device);
  if (device.peer) configure(run, device.peer, request.peer ?? {});
}

/** The other end of a veth pair is registered first (veth_newlink), in the namespace of the command unless it says else. */
function addPeer(run: Run, request: LinkRequest, device: Device): Device {
  const ns = namespaceOf(run, request) ?? run.ns;
  const name = nameOf(ns, request, "veth");
  if (ns === device.ns && name.value === device.name.value)
    throw new Refused(Errno.EEXIST, name.span, { span: device.name.span, message: "the other end has this name" });
  requireFreeName(ns, name);
  const peer = new Device(ns, name, "veth");
  peer.peer = device;
  addDevice(peer);
  return peer;
}

/** A name that is not given is the type's with the first free number (`veth0`). */
function nameOf(ns: NetNs, request: LinkRequest, base: string): Name {
  const word = request.name ?? request.device;
  if (word) return { value: word.text, span: word.span };
  for (let i = 0; ; i++)
    if (ns.device(`${base}${i}`) === undefined) return { value: `${base}${i}`, span: ns.name.span };
}

function namespaceOf(run: Run, request: LinkRequest): NetNs | undefined {
  const { netns } = request;
  if (netns === undefined) return undefined;
  // Process 1 lives in the root namespace.
  const ns = netns.text === "1" ? run.network.root : run.network.find(netns.text);
  if (ns === undefined)
    throw new Refused(`Error: argument "${netns.text}" is wrong: Invalid "netns" value`, netns.span);
  return ns;
}

// ---- set, del -----------------------------------------------------------------------------------------------------

function setLink(run: Run, request: LinkRequest): void {
  if (request.device === undefined && request.group !== undefined)
    throw new Unsupported("setting a group of devices at once");
  if (request.type !== undefined) throw new Unsupported("changing what belongs to a device's type", request.type.span);
  masterOf(run, run.ns, request);
  const device = run.touch(run.device(requireWord(request.device)));
  const to = namespaceOf(run, request);
  if (to) moveDevice(device, to, requireWord(request.netns).span);
  if (request.name && request.name.text !== device.name.value) {
    if (device.isUp) throw new Refused(Errno.EBUSY, request.name.span);
    const name = { value: request.name.text, span: request.name.span };
    requireFreeName(device.ns, name);
    device.name = name;
  }
  configure(run, device, request);
}

function requireWord(word: Word | undefined): Word {
  if (word === undefined) throw new Refused('Not enough information: "dev" argument is required.');
  return word;
}

/** In do_setlink's order: settings, flags, master. */
function configure(run: Run, device: Device, request: LinkRequest): void {
  const { span } = run;
  checkProperties(device, request);
  if (request.address) device.settings.set("lladdr", { kind: "lladdr", mac: request.address, span });
  if (request.mtu) device.settings.set("mtu", { kind: "mtu", mtu: request.mtu, span });
  if (request.group) device.settings.set("group", { kind: "group", group: request.group, span });
  if (request.index) device.settings.set("index", { kind: "index", index: request.index, span });
  if (request.up !== undefined) setUp(device, request.up);
  const master = masterOf(run, device.ns, request);
  if (master !== undefined) setMaster(device, master);
}

/** dev_validate_mtu, eth_mac_addr, dev_new_index. */
function checkProperties(device: Device, { mtu, address, index }: LinkRequest): void {
  const range = device.kind === "machine" ? undefined : MTU[device.kind];
  if (mtu && range && mtu.value < range.least) throw new Refused("Error: mtu less than device minimum.", mtu.span);
  if (mtu && range && mtu.value > range.most) throw new Refused("Error: mtu greater than device maximum.", mtu.span);
  if (address && (address.value === 0 || Math.floor(address.value / 2 ** 40) % 2 === 1))
    throw new Refused(Errno.EADDRNOTAVAIL, address.span);
  if (index?.value === 1) throw new Refused(Errno.EEXIST, index.span);
}

/** The VRF that `master` names, null for `nomaster`, undefined when nothing is said. */
function masterOf(run: Run, ns: NetNs, { master, isVrf }: LinkRequest): { vrf: Device; span: Span } | null | undefined {
  if (!master) return master;
  const fail = () => new Refused(`Error: argument "${master.text}" is wrong: Device does not exist`, master.span);
  const vrf = run.inside(ns).device(master, fail);
  if (isVrf && vrf.kind !== "vrf")
    throw new Refused(`Error: argument "${master.text}" is wrong: Not a valid VRF name`, master.span);
  return { vrf, span: master.span };
}

function deleteLink(run: Run, request: LinkRequest): void {
  const word = requireWord(request.device ?? request.name);
  if (run.ns.foreign.delete(word.text)) throw new Unsupported(`\`${word.text}\` is not in vrfc`, word.span);
  // Not run.device: what the script deletes and never creates is not a device that the machine keeps.
  const device = run.ns.device(word.text);
  if (device === undefined) throw new Refused(`Cannot find device "${word.text}"`, word.span);
  if (device.kind === "loopback") throw new Refused(Errno.EOPNOTSUPP, word.span);
  deleteDevice(device);
}
