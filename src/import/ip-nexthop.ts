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
import { familyOf } from "../../runtime/net/ip.ts";
import { flushNextHops } from "./devices.ts";
import { checkHop } from "./fib.ts";
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
        break;
      case "via":
        if (["inet", "inet6"].includes(words.peek()?.text ?? "")) words.next();
        request.via = addressWord(words.next());
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
    if (id === null || weight === null)
      throw new Refused(`Error: argument "${word.text}" is wrong: "group" value is invalid`, word.span);
    return { id: { value: id, span: word.span }, weight };
  });
}

function add(run: Run, request: NextHopRequest, replace: boolean): void {
  const { ns, span } = run;
  const { id, group, blackhole } = request;
  if (id === undefined) throw new Unsupported("a next hop whose id the kernel chooses");
  const missing = group?.find((member) => !ns.nexthops.some((entry) => entry.node.id.value === member.id.value));
  if (missing) throw new Refused("Error: Invalid nexthop id.", missing.id.span);
  // A blackhole is a next hop through lo (nh_create_ipv4).
  if (blackhole && !ns.devices[0].isUp) throw new Refused("Error: Device for nexthop is not up.");
  const hop = group || blackhole ? null : hopOf(run, request);
  const first = ns.nexthops.find((entry) => entry.node.id.value === id.value);
  if (first && !replace)
    throw new Refused(Errno.EEXIST, id.span, { span: first.node.span, message: "this next hop is already there" });
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
  const entry = run.touch(new NextHopEntry(hop?.dev ? (ns.device(hop.dev.value) ?? null) : null, node));
  if (first) entry.inherit(first);
  ns.nexthops = ns.nexthops.filter((other) => other !== first);
  ns.nexthops.push(entry);
  ns.entered.push(entry);
}

/** nh_create_ipv4, nh_create_ipv6: the gateway is looked for in the table of the device's VRF. */
function hopOf(run: Run, { via, device: word, onlink }: NextHopRequest): Hop {
  if (word === undefined)
    throw new Refused(
      via === undefined
        ? "Error: Invalid address family."
        : "Error: Nexthop device required for non-group and non-blackhole nexthops.",
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
  checkHop({ ns: run.ns, family, table: device.l3mdevTable || RT_TABLE_MAIN, scope }, hop, device);
  return hop;
}

function remove(run: Run, { id }: NextHopRequest): void {
  if (id === undefined || !run.ns.nexthops.some((entry) => entry.node.id.value === id.value))
    throw new Refused(Errno.ENOENT, id?.span);
  flushNextHops(run.ns, (entry) => entry.node.id.value === id.value);
}
