/**
 * `ip [OPTIONS] OBJECT COMMAND`: options, objects and `ip netns`. Each object is in a file of its own.
 *
 *   OPTIONS = -4 | -6 | -family F | -n NS | -netns NS | -batch FILE | -force | …      what only changes the output is skipped
 *   OBJECT  = address | link | route | rule | neighbour | nexthop | netns | vrf | …   by any prefix, in iproute2's order
 */
import type { Family } from "../../runtime/net/ip.ts";
import { addNamespace, deleteNamespace } from "./devices.ts";
import { runAddress } from "./ip-addr.ts";
import { runLink } from "./ip-link.ts";
import { runNeighbour } from "./ip-neigh.ts";
import { runNextHop } from "./ip-nexthop.ts";
import { runRoute } from "./ip-route.ts";
import { runRule } from "./ip-rule.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import type { NetNs } from "./state.ts";
import { choose, matches, Refused, Unsupported, Words } from "./words.ts";

/** In the order in which iproute2 compares. */
const OBJECTS = [
  "address",
  "addrlabel",
  "maddress",
  "route",
  "rule",
  "neighbor",
  "neighbour",
  "ntable",
  "ntbl",
  "link",
  "l2tp",
  "fou",
  "ila",
  "macsec",
  "tunnel",
  "tunl",
  "tuntap",
  "tap",
  "token",
  "tcpmetrics",
  "tcp_metrics",
  "monitor",
  "xfrm",
  "mroute",
  "mrule",
  "netns",
  "netconf",
  "vrf",
  "sr",
  "nexthop",
  "mptcp",
  "ioam",
  "help",
  "stats",
] as const;

/** Objects that only show something. */
const SHOWN: readonly string[] = ["maddress", "monitor", "netconf", "help", "stats", "ntable", "ntbl"];

/** Options, by any prefix. */
const OPTIONS =
  "-loops -family -4 -6 -0 -M -B -human -details -statistics -resolve -oneline -timestamp -tshort -iec -rcvbuf -batch -brief -json -pretty -netns -Numeric -all -color -help -Version -force -force -n -echo -stats -d -s -o -t -ts -rc -h -c -j -p -br -a".split(
    " ",
  );

/** Runs another program, for `ip netns exec`. */
export type Execute = (run: Run, words: readonly Word[]) => void;
/** Runs the lines of a file, for `ip -batch`. */
export type Batch = (run: Run, file: Word) => void;

/** Runs the words after `ip`. */
export function runIp(run: Run, args: readonly Word[], execute: Execute, batch: Batch): void {
  const words = new Words(args);
  let at = run;
  let file: Word | undefined;
  while (words.peek()?.text.startsWith("-")) {
    const option = words.next();
    const name = option.text.replace(/^--/, "-");
    if (name === "-4" || name === "-6") at = at.inside(at.ns, name === "-4" ? 4 : 6);
    else if (matches(name, "-family")) at = at.inside(at.ns, familyWord(words.next()));
    else if (matches(name, "-batch")) file = words.next();
    else if (name !== "-" && matches(name, "-netns")) at = at.inside(namespaceWord(at, words.next()));
    else if (matches(name, "-loops") || (name.length > 2 && matches(name, "-rcvbuf"))) words.next();
    else if (!OPTIONS.some((known) => matches(name, known)))
      throw new Refused(`Option "${option.text}" is unknown, try "ip -help".`, option.span);
    else if (["-all", "-B", "-M", "-0"].includes(name)) throw new Unsupported(`\`ip ${name}\``, option.span);
  }
  if (file) {
    batch(at, file);
    return;
  }
  if (words.isDone) return;
  runObject(at, words, execute);
}

function familyWord(word: Word): Family | null {
  if (word.text === "inet") return 4;
  if (word.text === "inet6") return 6;
  if (["bridge", "mpls", "link"].includes(word.text))
    throw new Unsupported(`the address family \`${word.text}\``, word.span);
  throw new Refused(`Error: argument "${word.text}" is wrong: invalid protocol family`, word.span);
}

function namespaceWord(run: Run, word: Word): NetNs {
  const ns = run.network.find(word.text);
  if (ns === undefined)
    throw new Refused(`Cannot open network namespace "${word.text}": No such file or directory`, word.span);
  return ns;
}

function runObject(run: Run, words: Words, execute: Execute): void {
  const word = words.next();
  const object = choose(word.text, OBJECTS);
  switch (object) {
    case "address":
      runAddress(run, words);
      return;
    case "link":
      runLink(run, words);
      return;
    case "route":
      runRoute(run, words);
      return;
    case "rule":
      runRule(run, words);
      return;
    case "neighbor":
    case "neighbour":
      runNeighbour(run, words);
      return;
    case "nexthop":
      runNextHop(run, words);
      return;
    case "netns":
      runNetns(run, words, execute);
      return;
    case "vrf":
      runVrf(words);
      return;
    case null:
      throw new Refused(`Object "${word.text}" is unknown, try "ip help".`, word.span);
    default:
      if (!SHOWN.includes(object)) throw new Unsupported(`\`ip ${object}\``, word.span);
  }
}

/** `ip netns { add | del NS | exec NS COMMAND | … }` */
function runNetns(run: Run, words: Words, execute: Execute): void {
  if (words.isDone) return;
  const action = words.next();
  switch (
    choose(action.text, [
      "list",
      "show",
      "lst",
      "list-id",
      "help",
      "add",
      "set",
      "delete",
      "identify",
      "pids",
      "exec",
      "monitor",
      "attach",
    ])
  ) {
    case "add": {
      const name = words.next();
      run.touch(addNamespace(run.network, { value: name.text, span: name.span }));
      return;
    }
    case "delete": {
      const name = words.next();
      const ns = run.network.find(name.text);
      if (ns === undefined)
        throw new Refused(
          `Cannot remove namespace file "/run/netns/${name.text}": No such file or directory`,
          name.span,
        );
      deleteNamespace(run.network, ns);
      return;
    }
    case "exec":
      execute(run.inside(namespaceWord(run, words.next()), null), words.rest());
      return;
    case "set":
      // An id for the namespace in messages between namespaces.
      return;
    case "attach":
      throw new Unsupported("`ip netns attach`", action.span);
    case null:
      throw new Refused(`Command "${action.text}" is unknown, try "ip netns help".`, action.span);
    default:
      return;
  }
}

/** `ip vrf exec` binds the sockets of a program, which is no part of the network. */
function runVrf(words: Words): void {
  const action = words.peek();
  if (action !== undefined && matches(action.text, "exec")) throw new Unsupported("`ip vrf exec`", action.span);
}
