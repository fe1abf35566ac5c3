/**
 * `ip address`: iproute2's ipaddr_modify.
 *
 *   add | change | replace | del   [local] ADDR[/LEN] { peer P | broadcast B | scope S | metric N | label L | dev D | flag }
 *   flush                          [dev] D { scope S | to P | label L | … }
 */
import type { AddressProperty, Name, Spanned } from "../../dsl/ast.ts";
import { type Family, familyOf, inPrefix, lastAddress, type Prefix } from "../../runtime/net/ip.ts";
import { addAddress, deleteAddress, findAddress } from "./devices.ts";
import { hasIpv6Off } from "./next-hop.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import type { Device } from "./state.ts";
import {
  choose,
  Errno,
  keywordOf,
  numberWord,
  parseIp,
  prefixWord,
  Refused,
  scopeWord,
  Unsupported,
  type Words,
} from "./words.ts";

const KEYWORDS = [
  "peer",
  "remote",
  "broadcast*",
  "brd",
  "anycast",
  "scope",
  "dev",
  "label",
  "metric*",
  "priority*",
  "preference*",
  "valid_lft*",
  "preferred_lft*",
  "proto",
  "local",
] as const;

/** Flags that say nothing about routes: duplicate address detection is over before any packet comes. */
const FLAGS = [
  "nodad",
  "optimistic",
  "home",
  "mngtmpaddr",
  "autojoin",
  "permanent",
  "secondary",
  "temporary",
  "deprecated",
  "tentative",
  "dadfailed",
];

interface AddressRequest {
  device?: Word;
  local?: Spanned<Prefix>;
  hasLength: boolean;
  peer?: Spanned<Prefix>;
  scope?: Name;
  metric?: Spanned<number>;
  noprefixroute?: boolean;
  /** Seconds. */
  validLifetime?: number;
  preferredLifetime?: number;
  /** mngtmpaddr */
  isTemporaryBase?: boolean;
}

export function runAddress(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  switch (
    choose(action.text, [
      "add",
      "change",
      "replace",
      "delete",
      "list",
      "show",
      "lst",
      "flush",
      "save",
      "showdump",
      "restore",
      "help",
    ])
  ) {
    case "add":
      add(run, parse(run, words), false);
      return;
    case "change":
    case "replace":
      add(run, parse(run, words), true);
      return;
    case "delete":
      remove(run, parse(run, words));
      return;
    case "flush":
      flush(run, words);
      return;
    case "restore":
      throw new Unsupported("`ip address restore`", action.span);
    case null:
      if (action.text === "chg") {
        add(run, parse(run, words), true);
        return;
      }
      throw new Refused(`Command "${action.text}" is unknown, try "ip address help".`, action.span);
    default:
      return;
  }
}

function parse(run: Run, words: Words): AddressRequest {
  const request: AddressRequest = { hasLength: false };
  while (!words.isDone) {
    const word = words.next();
    const keyword = keywordOf(word.text, KEYWORDS);
    switch (keyword) {
      case "peer":
      case "remote":
        request.peer = prefix(words.next(), request.local ? familyOf(request.local.value.address) : run.family);
        break;
      case "dev":
        request.device = words.next();
        break;
      case "scope": {
        const value = words.next();
        request.scope = { value: scopeWord(value, "invalid scope value.").name, span: value.span };
        break;
      }
      case "metric":
      case "priority":
      case "preference":
        request.metric = numberWord(words.next(), '"metric" value is invalid\n');
        break;
      case "broadcast":
      case "brd":
        leaveOutBroadcast(run, word, words.next(), request);
        break;
      case "anycast":
        throw new Unsupported("anycast addresses", word.span);
      case "valid_lft":
      case "preferred_lft": {
        const value = words.next();
        const seconds = value.text === "forever" ? FOREVER : numberWord(value, `${keyword} value is invalid`).value;
        request[keyword === "valid_lft" ? "validLifetime" : "preferredLifetime"] = seconds;
        run.leaveOut(word, value);
        break;
      }
      case "label":
      case "proto":
        run.leaveOut(word, words.next());
        break;
      default:
        if (word.text === "mngtmpaddr") request.isTemporaryBase = true;
        if (word.text === "noprefixroute") request.noprefixroute = true;
        else if (!FLAGS.includes(word.text)) nameLocal(request, keyword === "local" ? words.next() : word, run.family);
    }
  }
  return request;
}

const prefix = (word: Word, family: Family | null): Spanned<Prefix> => {
  const { value, span } = prefixWord(word, family);
  if (value === null) throw new Refused(`Error: any valid prefix is expected rather than "${word.text}".`, span);
  return { value, span };
};

function nameLocal(request: AddressRequest, word: Word, family: Family | null): void {
  if (request.local)
    throw new Refused(`Error: either "local" is duplicate, or "${word.text}" is a garbage.`, word.span);
  request.local = prefix(word, family);
  request.hasLength = word.text.includes("/");
}

/** The subnet's last address is a broadcast address anyway; any other has no place in vrfc. */
function leaveOutBroadcast(run: Run, word: Word, value: Word, { local }: AddressRequest): void {
  if (value.text === "+" || value.text === "-") return;
  if (local !== undefined && parseIp(value.text) === lastAddress(local.value)) return;
  run.leaveOut(word, value);
}

function complete(run: Run, request: AddressRequest): { device: Device; local: Spanned<Prefix> } {
  if (request.device === undefined) throw new Refused('Not enough information: "dev" argument is required.');
  const device = run.device(request.device);
  if (request.local === undefined) throw new Refused(run.family === null ? Errno.EOPNOTSUPP : Errno.EINVAL);
  return { device, local: request.local };
}

function add(run: Run, request: AddressRequest, replace: boolean): void {
  const { device, local } = complete(run, request);
  const { peer, scope, metric } = request;
  const node: AddressProperty = {
    kind: "address",
    span: run.span,
    address: local,
    ...(peer ? { peer } : {}),
    ...(scope ? { scope } : {}),
    ...(metric ? { metric } : {}),
    ...(request.noprefixroute ? { noprefixroute: true } : {}),
  };
  checkAddress(device, local, request);
  run.touch(addAddress(device, node, replace));
}

/** ipaddr_modify (lifetimes), inet6_addr_add, and what vrfc has no meaning for. */
function checkAddress(
  device: Device,
  { value: { address, length }, span }: Spanned<Prefix>,
  request: AddressRequest,
): void {
  const { validLifetime = FOREVER, preferredLifetime = FOREVER } = request;
  if (validLifetime === 0) throw new Refused("valid_lft is zero", span);
  if (preferredLifetime > validLifetime) throw new Refused("preferred_lft is greater than valid_lft", span);
  if (address === 0) throw new Unsupported("the address 0.0.0.0", span);
  if (typeof address === "number") return;
  if (request.isTemporaryBase && length !== 64) throw new Refused(Errno.EINVAL, span);
  if (hasIpv6Off(device)) throw new Refused(Errno.EACCES, span);
  // A VRF may have ::1: its `lo`, as it were (netif_is_l3_master).
  const isNoLoopback = device.kind !== "loopback" && device.kind !== "vrf";
  const isNone = address === 0n || address >> 120n === 0xffn || (address === 1n && isNoLoopback);
  if (isNone) throw new Refused(Errno.EADDRNOTAVAIL, span);
}

const FOREVER = 0xffffffff;

function remove(run: Run, request: AddressRequest): void {
  const { device, local } = complete(run, request);
  const address = findAddress(device, local.value, request.hasLength);
  if (address === undefined) refuseLoopback(device, local);
  if (address === undefined) throw new Refused(Errno.EADDRNOTAVAIL, local.span);
  run.touch(device);
  deleteAddress(address);
}

/** 127.0.0.1 and ::1 come with lo, and stay with it in vrfc. */
function refuseLoopback(device: Device, { value, span }: Spanned<Prefix>): void {
  if (device.kind === "loopback" && device.isUp && (value.address === 0x7f000001 || value.address === 1n))
    throw new Unsupported("vrfc cannot take away the address that comes with lo", span);
}

/** Flushes the addresses of a device; `to` and `scope` choose among them. */
function flush(run: Run, words: Words): void {
  if (words.isDone) throw new Refused("Flush requires arguments.");
  let deviceWord: Word | undefined;
  let to: Prefix | null = null;
  let scope: string | null = null;
  while (!words.isDone) {
    const word = words.next();
    if (word.text === "to") to = prefix(words.next(), run.family).value;
    else if (word.text === "scope") scope = words.next().text;
    else if (word.text === "dev") deviceWord = words.next();
    else if (
      ["up", "down", "label", "group", "master", "vrf", "nomaster", "type", "proto", "permanent", "dynamic"].includes(
        word.text,
      )
    )
      throw new Unsupported(`\`${word.text}\` of \`ip address flush\``, word.span);
    else deviceWord = word;
  }
  if (deviceWord === undefined) throw new Unsupported("flushing the addresses of all devices");
  const name = deviceWord.text;
  const device = run.touch(
    run.device(deviceWord, () => new Refused(`Device "${name}" does not exist.`, deviceWord.span)),
  );
  if (device.kind === "loopback" && device.isUp && to === null && scope === null)
    run.keepOut("vrfc cannot take away the addresses that come with lo");
  for (const address of device.addresses) {
    const isMeant =
      (run.family === null || address.family === run.family) &&
      (to === null || inPrefix(to, address.local)) &&
      (scope === null || scope === (address.node.scope?.value ?? "global"));
    if (isMeant && device.addresses.includes(address)) deleteAddress(address);
  }
}
