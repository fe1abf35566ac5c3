/**
 * `ip neighbour`: iproute2's ipneigh_modify. vrfc holds what stays: permanent entries.
 *
 *   add | change | replace | del   [to] ADDR { lladdr MAC | dev D | nud STATE | … }
 *   flush                          [dev] D
 */
import type { Spanned } from "../../dsl/ast.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import type { Mac } from "../../runtime/net/mac.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { NeighbourEntry } from "./state.ts";
import {
  addressWord,
  choose,
  Errno,
  keywordOf,
  macWord,
  parseNumber,
  Refused,
  Unsupported,
  type Words,
} from "./words.ts";

const KEYWORDS = [
  "lladdr*",
  "nud",
  "proxy*",
  "router",
  "use",
  "managed",
  "extern_learn*",
  "extern_valid",
  "dev",
  "protocol*",
  "to",
] as const;

interface NeighbourRequest {
  address?: Spanned<Ip>;
  lladdr?: Spanned<Mac>;
  device?: Word;
}

export function runNeighbour(run: Run, words: Words): void {
  if (words.isDone) return;
  const action = words.next();
  switch (choose(action.text, ["add", "change", "replace", "delete", "get", "show", "lst", "list", "flush", "help"])) {
    case "add":
      modify(run, parse(run, words), "add");
      return;
    case "replace":
      modify(run, parse(run, words), "replace");
      return;
    case "change":
      modify(run, parse(run, words), "change");
      return;
    case "delete":
      modify(run, parse(run, words), "delete");
      return;
    case "flush":
      flush(run, words);
      return;
    case null:
      if (action.text === "chg") {
        modify(run, parse(run, words), "change");
        return;
      }
      throw new Refused(`Command "${action.text}" is unknown, try "ip neigh help".`, action.span);
    default:
      return;
  }
}

function parse(run: Run, words: Words): NeighbourRequest {
  const request: NeighbourRequest = {};
  while (!words.isDone) {
    const word = words.next();
    switch (keywordOf(word.text, KEYWORDS)) {
      case "lladdr":
        request.lladdr = macWord(words.next(), () => "Error: Invalid link address.");
        break;
      case "dev":
        request.device = words.next();
        break;
      case "nud":
        checkState(words.next());
        break;
      case "protocol":
        run.leaveOut(word, words.next());
        break;
      case "router":
      case "extern_learn":
      case "extern_valid":
        run.leaveOut(word);
        break;
      case "proxy":
      case "use":
      case "managed":
        throw new Unsupported(`\`${word.text}\` of \`ip neighbour\``, word.span);
      default: {
        if (request.address)
          throw new Refused(`Error: either "to" is duplicate, or "${word.text}" is a garbage.`, word.span);
        request.address = addressWord(word.text === "to" ? words.next() : word);
      }
    }
  }
  return request;
}

const NUD_STATES = new Set("permanent reachable noarp none stale incomplete delay probe failed".split(" "));

/** Other states pass away, or mean that there is no entry yet. */
function checkState(word: Word): void {
  if (!NUD_STATES.has(word.text) && parseNumber(word.text, 0xffff) === null)
    throw new Refused(`Error: argument "${word.text}" is wrong: nud state is bad`, word.span);
  if (word.text !== "permanent" && word.text !== "0x80")
    throw new Unsupported(`a neighbour in state \`${word.text}\`: only permanent ones stay`, word.span);
}

function modify(run: Run, request: NeighbourRequest, action: "add" | "replace" | "change" | "delete"): void {
  const { ns, span } = run;
  if (request.address === undefined || request.device === undefined)
    throw new Refused("Device and destination are required arguments.");
  const { address, lladdr } = request;
  const device = run.device(request.device);
  const first = ns.neighbours.find((entry) => entry.device === device && entry.node.address.value === address.value);
  if (action === "add" && first)
    throw new Refused(Errno.EEXIST, span, { span: first.node.span, message: "this neighbour is already there" });
  if ((action === "change" || action === "delete") && !first) throw new Refused(Errno.ENOENT, span);
  ns.neighbours = ns.neighbours.filter((entry) => entry !== first);
  if (action === "delete") return;
  if (lladdr === undefined) throw new Unsupported("a neighbour without a link-layer address", address.span);
  const dev = { value: device.name.value, span: request.device.span };
  const entry = run.touch(new NeighbourEntry(device, { kind: "neighbour", span, address, lladdr, dev }));
  if (first) entry.inherit(first);
  ns.neighbours.push(entry);
  ns.entered.push(entry);
}

/** Permanent entries are flushed only with `nud permanent`, all of them with `nud all`. */
function flush(run: Run, words: Words): void {
  let device: Word | undefined;
  let isPermanent = false;
  while (!words.isDone) {
    const word = words.next();
    if (word.text === "nud") isPermanent = ["permanent", "all"].includes(words.next().text);
    else if (word.text !== "dev") device = word;
  }
  if (!isPermanent) return;
  const from = device && run.device(device);
  run.ns.neighbours = run.ns.neighbours.filter((entry) => from !== undefined && entry.device !== from);
}
