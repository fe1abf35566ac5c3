/**
 * `ping` as scripts write it, into what a test of vrfc can say: iputils' options.
 *
 *   ping [-4 | -6] [-c N] [-i S] [-W S] [-w S] [-s N] [-q] [-n] … [-I DEV | -I ADDR] [-t TTL] [-m MARK] DESTINATION
 *
 * One notation more: `-I vrf/vethr1` stands for one ping with each. (A device name cannot hold a slash.)
 */
import type { Name, Ping, Spanned } from "../../dsl/ast.ts";
import type { Ip } from "../../runtime/net/ip.ts";
import type { PingRequest } from "./run.ts";
import type { Word } from "./shell.ts";
import { numberWord, parseIp, Refused, Unsupported, Words } from "./words.ts";

/** Options with an argument that say how often, how fast and how long: a test sends one packet and waits for its end. */
const WITHOUT_MEANING = /^-[ciWwlS]$/;
/** Options with an argument that change the packet in a way that vrfc does not have. */
const UNSUPPORTED = /^-[pQTFNM]$/;

export interface ParsedPing {
  readonly pings: readonly Ping[];
  /** Words without a counterpart that change the packet: its length. */
  readonly leftOut: readonly Word[];
}

/** The pings that a command asks for, or `Refused` or `Unsupported`. */
export function parsePing({ ns, words: list }: PingRequest, span: Ping["span"]): ParsedPing {
  const words = new Words(list.flatMap(separate));
  let destination: Spanned<Ip> | null = null;
  let binds: Name[] = [];
  let ttl: Spanned<number> | undefined;
  let mark: Spanned<number> | undefined;
  const leftOut: Word[] = [];
  while (!words.isDone) {
    const word = words.next();
    if (word.text === "-I") binds = bindsOf(words.next());
    else if (word.text === "-t") ttl = numberWord(words.next(), "out of range: 0 <= value <= 255", 255);
    else if (word.text === "-m") mark = numberWord(words.next(), "invalid mark");
    else if (word.text === "-s") leftOut.push(word, words.next());
    else if (WITHOUT_MEANING.test(word.text)) words.next();
    else if (UNSUPPORTED.test(word.text)) throw new Unsupported(`\`ping ${word.text}\``, word.span);
    else if (word.text.startsWith("-") || destination !== null) continue;
    else {
      const ip = parseIp(word.text);
      if (ip === null) throw new Unsupported(`\`${word.text}\` is a name, and vrfc has no resolver`, word.span);
      destination = { value: ip, span: word.span };
    }
  }
  if (destination === null) throw new Refused("ping: usage error: Destination address required");
  requireBinds(ns, binds);
  const target = destination;
  const ping = (bind: Name | null): Ping => ({
    kind: "ping",
    span,
    ...(ns.isRoot ? {} : { namespace: { value: ns.name.value, span } }),
    destination: target,
    ...(bind ? { bind } : {}),
    ...(ttl ? { ttl } : {}),
    ...(mark ? { mark } : {}),
    expect: { kind: "reply", span },
  });
  return { pings: binds.length === 0 ? [ping(null)] : binds.map(ping), leftOut };
}

/** `-c1` is `-c` and `1`. */
function separate(word: Word): Word[] {
  const option = /^(-[ciWwlSpQTFNMItms])(.+)$/.exec(word.text);
  return option === null ? [word] : [option[1], option[2]].map((text) => ({ text, span: word.span }));
}

const bindsOf = (word: Word): Name[] =>
  word.text
    .split("/")
    .filter((part) => part !== "")
    .map((value) => ({ value, span: word.span }));

function requireBinds(ns: PingRequest["ns"], binds: readonly Name[]): void {
  for (const { value, span } of binds)
    if (parseIp(value) === null && ns.device(value) === undefined)
      throw new Refused(`ping: SO_BINDTODEVICE ${value}: No such device`, span);
}
