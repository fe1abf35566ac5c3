/**
 * `ip nexthop`: iproute2's ipnh_modify.
 *
 *   add | replace   id N { [via [FAMILY] A] dev D [onlink] | blackhole | group ID[,WEIGHT][/…] } [ protocol P ]
 *   del             id N
 *   flush
 */
import type { Hop, NextHopObject, Spanned } from "../../dsl/ast.ts";
import { Scope } from "../../dsl/model.ts";
import { RT_TABLE_MAIN } from "../../runtime/brand.ts";
import { type Family, familyOf } from "../../runtime/net/ip.ts";
import { flushNextHops } from "./devices.ts";
import { checkHop } from "./next-hop.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { NextHopEntry } from "./state.ts";
import {
  addressWord,
  choose,
  Errno,
  keywordOf,
  numberWord,
  parseNumber,
  Refused,
  Unsupported,
  type Words,
} from "./words.ts";

type Group = NonNullable<NextHopObject["group"]>;
interface NextHopRequest {
  id?: Spanned<number>;
  via?: NonNullable<Hop["via"]>;
  device?: Word;
  onlink?: boolean;
  blackhole?: boolean;
  group?: Group;
  /** The keyword that names something besides a group. */
  more?: Word;
}

export function runNextHop(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  switch (choose(action.text, ["add", "replace", "delete", "list", "show", "lst", "get", "flush", "bucket", "help"])) {
    case "add":
      add(run, parse(run, words), false);
      return;
    case "replace":
      add(run, parse(run, words), true);
      return;
    case "delete":
      remove(run, parse(run, words));
      return;
    case "flush":
      if (!words.isDone) throw new Unsupported("flushing only some next hops", action.span);
      flushNextHops(run.ns, () => true);
      return;
    case null:
      throw new Refused(`Command "${action.text}" is unknown, try "ip nexthop help".`, action.span);
    default:
      return;
  }
}

function parse(run: Run, words: Words): NextHopRequest {
  const request: NextHopRequest = {};
  while (!words.isDone) {
    const word = words.next();
    switch (
      keywordOf(word.text, ["id", "dev", "via", "encap", "blackhole", "fdb", "onlink", "group", "type", "protocol*"])
    ) {
      case "id":
        request.id = numberWord(words.next(), "invalid id value");
        break;
      case "dev":
        request.device = words.next();
        request.more ??= word;
        break;
      case "via":
        if (["inet", "inet6"].includes(words.peek()?.text ?? "")) words.next();
        request.via = addressWord(words.next(), run.family);
        request.more ??= word;
        break;
      case "onlink":
        request.onlink = true;
        break;
      case "blackhole":
        request.blackhole = true;
        break;
      case "group":
        request.group = groupOf(words.next());
        break;
      case "type": {
        const type = words.next();
        if (type.text !== "mpath") throw new Unsupported(`next-hop groups of type \`${type.text}\``, type.span);
        break;
      }
      case "protocol":
        run.leaveOut(word, words.next());
        break;
      case null:
        throw new Refused(`Error: argument "${word.text}" is wrong: unknown option`, word.span);
      default:
        throw new Unsupported(`\`${word.text}\` of \`ip nexthop\``, word.span);
    }
  }
  return request;
}

/** `1/2,3`: next hop 1 with weight 1 and next hop 2 with weight 3. */
function groupOf(word: Word): Group {
  return word.text.split("/").map((member) => {
    const [idText, weightText = "1"] = member.split(",");
    const [id, weight] = [parseNumber(idText), parseNumber(weightText, 256)];
    if (id !== null && !weight)
      throw new Refused(`Error: argument "${weightText}" is wrong: "weight" is invalid`, word.span);
    if (id === null || weight === null)
      throw new Refused(`Error: argument "${word.text}" is wrong: "group" value is invalid`, word.span);
    return { id: { value: id, span: word.span }, weight };
  });
}

function add(run: Run, request: NextHopRequest, replace: boolean): void {
  const { ns, span } = run;
  const { id, group, blackhole, more } = request;
  if (id === undefined && replace) throw new Refused("Error: Replace requires nexthop id.");
  if (id === undefined || id.value === 0) throw new Unsupported("a next hop whose id the kernel chooses");
  if (group) checkGroup(run, group, more);
  if (blackhole && more)
    throw new Refused("Error: Blackhole attribute can not be used with gateway, oif, encap or fdb.", more.span);
  // A blackhole is a next hop through lo (nh_create_ipv4).
  if (blackhole && !ns.devices[0].isUp) throw new Refused("Error: Device for nexthop is not up.");
  const hop = group || blackhole ? null : hopOf(run, request);
  const first = ns.nexthops.find((entry) => entry.node.id.value === id.value);
  if (first && !replace)
    throw new Refused(Errno.EEXIST, id.span, { span: first.node.span, message: "this next hop is already there" });
  if (first) checkReplacement(run, first, request);
  const node: NextHopObject = {
    kind: "nexthop",
    span,
    id,
    // What has no gateway does not tell its family, and -6 has to.
    ...(run.family === 6 && !group && hop?.via === undefined ? { family: { value: 6, span: id.span } } : {}),
    ...(hop ? { hop } : {}),
    ...(blackhole ? { blackhole } : {}),
    ...(group ? { group } : {}),
  };
  const device = hop?.dev ? (ns.device(hop.dev.value) ?? null) : null;
  enter(run, new NextHopEntry(device, node, familyOfObject(run, request)), first);
}

/** What replaces another stands where that did: groups and routes that use it are behind it. */
function enter(run: Run, entry: NextHopEntry, first: NextHopEntry | undefined): void {
  const { ns } = run;
  run.touch(entry);
  if (first === undefined) {
    ns.nexthops.push(entry);
    ns.entered.push(entry);
    return;
  }
  entry.inherit(first);
  ns.nexthops[ns.nexthops.indexOf(first)] = entry;
  ns.entered[ns.entered.indexOf(first)] = entry;
}

const objectOf = ({ ns }: Run, id: number): NextHopEntry | undefined =>
  ns.nexthops.find((entry) => entry.node.id.value === id);

/** A group is for IPv4 routes as soon as one member is. */
function familyOfObject(run: Run, { via, group }: NextHopRequest): Family {
  if (group) return group.every((member) => objectOf(run, member.id.value)?.family === 6) ? 6 : 4;
  return via ? familyOf(via.value) : (run.family ?? 4);
}

/** rtm_to_nh_config, nh_check_attr_group. */
function checkGroup(run: Run, group: Group, more: Word | undefined): void {
  if (more || run.family !== null) throw new Refused("Error: Invalid family for group.", more?.span);
  group.forEach(({ id }, i) => {
    if (group.findIndex((other) => other.id.value === id.value) < i)
      throw new Refused("Error: Nexthop id can not be used twice in a group.", id.span);
  });
  for (const { id } of group) {
    const member = objectOf(run, id.value)?.node;
    if (member === undefined) throw new Refused("Error: Invalid nexthop id.", id.span);
    if (member.group) throw new Refused("Error: Hash-threshold group can not be a nexthop within a group.", id.span);
    if (member.blackhole && group.length > 1)
      throw new Refused("Error: Blackhole nexthop can not be used in a group with more than 1 path.", id.span);
  }
}

/** replace_nexthop_single, replace_nexthop_grp. */
function checkReplacement({ ns, span }: Run, { node }: NextHopEntry, { group, blackhole, id }: NextHopRequest): void {
  if (node.group && !group) throw new Refused("Error: Can not replace a nexthop group with a nexthop.", id?.span);
  if (!node.group && group) throw new Refused("Error: Can not replace a nexthop with a nexthop group.", id?.span);
  const isMember = ({ node: { group: members = [] } }: NextHopEntry) =>
    members.length > 1 && members.some((member) => member.id.value === id?.value);
  if (blackhole && ns.nexthops.some(isMember))
    throw new Refused("Error: Blackhole nexthop can not be a member of a group with more than one path.", span);
}

/** nh_create_ipv4, nh_create_ipv6: the gateway is looked for in the table of the device's VRF. */
function hopOf(run: Run, { via, device: word, onlink }: NextHopRequest): Hop {
  if (word === undefined)
    throw new Refused(
      via === undefined
        ? "Error: Invalid address family."
        : "Error: Device attribute required for non-blackhole and non-fdb nexthops.",
      via?.span,
    );
  const fail = () => new Refused(`Error: argument "${word.text}" is wrong: Device does not exist`, word.span);
  const device = run.device(word, fail);
  const hop: Hop = {
    span: run.span,
    dev: { value: device.name.value, span: word.span },
    ...(via ? { via } : {}),
    ...(onlink ? { onlink } : {}),
  };
  const family = via ? familyOf(via.value) : (run.family ?? 4);
  const scope = via ? Scope.UNIVERSE : Scope.LINK;
  // rtm_to_nh_config
  if (!device.isUp) throw new Refused("Error: Nexthop device is not up.", word.span);
  if (device.peer?.isUp === false) throw new Refused("Error: Carrier for nexthop device is down.", word.span);
  if (onlink && via === undefined)
    throw new Refused("Error: ONLINK flag can not be set for nexthop without a gateway.", word.span);
  checkHop({ ns: run.ns, family, table: device.l3mdevTable || RT_TABLE_MAIN, scope }, hop, device);
  return hop;
}

function remove(run: Run, { id }: NextHopRequest): void {
  if (id === undefined) throw new Refused("Error: Nexthop id is missing.");
  if (id.value === 0) throw new Refused("Error: Invalid nexthop id.", id.span);
  if (objectOf(run, id.value) === undefined) throw new Refused(Errno.ENOENT, id.span);
  flushNextHops(run.ns, (entry) => entry.node.id.value === id.value);
}
