/**
 * Random rule sets for a drawn network of wires, in nft's words: tables of every family with base chains at every hook, several of them
 * at some, sets, maps, counters and limits with names, and rules that match, count, write, copy, send elsewhere, answer and decide. nft
 * refuses some lines; what it took is what is recorded.
 */
import type { Random } from "../../src/bench/random.ts";
import { between, pick } from "./draw.ts";
import type { DrawnNetwork } from "./network.ts";
import { address, type Family, hasFamily, type Place, prefix, wire } from "./places.ts";
import { drawMatch } from "./rule-matches.ts";
import { drawStatement, drawVerdict } from "./rule-statements.ts";

const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;

/** @param writes with rules that change packets: what a hook then logs of them is not what came in */
export function drawRuleSet(random: Random, network: DrawnNetwork, writes: boolean): string {
  const families: Family[] = [
    "inet",
    ...(random.chance(0.6) ? (["netdev"] as const) : []),
    ...(random.chance(0.5) ? [pick<Family>(random, ["ip", "ip6"])] : []),
  ];
  return families.map((family, i) => table({ random, network, family, writes, hook: null }, `t${i}`)).join("\n");
}

function table(place: Place, name: string): string {
  const { random, family } = place;
  const hooks = family === "netdev" ? ["ingress", "ingress", "egress"] : someHooks(random);
  return [
    `table ${family} ${name} {`,
    ...objects(place),
    chain("next", "", ruleLines(place, between(random, 1, 3))),
    chain("sub", "", [
      ...ruleLines(place, between(random, 1, 4)),
      ...(random.chance(0.4) ? ["counter jump next"] : []),
    ]),
    ...elementsOfVerdicts(place),
    ...hooks.map((hook, i) =>
      chain(`${hook}${i}`, head(place, hook), ruleLines({ ...place, hook }, between(random, 2, 6))),
    ),
    "}",
  ].join("\n");
}

/** What has a name; some of it no rule may ask for. */
function objects(place: Place): string[] {
  const { random } = place;
  const addresses = (version: 4 | 6) => [prefix(place, version), address(place, version), address(place, version)];
  const set = (name: string, type: string, elements: readonly string[]) =>
    `set ${name} { type ${type}; flags interval; auto-merge; elements = { ${elements.join(", ")} }; }`;
  return [
    ...(hasFamily(place, 4) ? [set("some4", "ipv4_addr", addresses(4))] : []),
    ...(hasFamily(place, 6) ? [set("some6", "ipv6_addr", addresses(6))] : []),
    set("ports", "inet_service", ["22", "53", "1000-1999"]),
    "set services { type inet_proto . inet_service; flags interval; elements = { tcp . 80, udp . 1-2000, tcp . 1000-1999 }; }",
    ...(hasFamily(place, 4)
      ? [`map marks { type ipv4_addr : mark; elements = { ${address(place, 4)} : ${pick(random, [1, 2, 16])} }; }`]
      : []),
    "counter all { }",
    "limit few { rate 1/hour burst 4 packets; }",
  ];
}

/** Its elements lead to a chain, which stands before. */
const elementsOfVerdicts = ({ random }: Place): string[] => [
  `map judged { type inet_proto . inet_service : verdict; flags interval; elements = { tcp . 80 : ${pick(random, ["drop", "accept"])}, udp . 1000-1999 : jump sub }; }`,
];

function someHooks(random: Random): readonly string[] {
  const drawn = HOOKS.flatMap((hook) => (random.chance(0.6) ? (random.chance(0.2) ? [hook, hook] : [hook]) : []));
  return drawn.length === 0 ? ["prerouting"] : drawn;
}

function head(place: Place, hook: string): string {
  const { random, family } = place;
  const device = family === "netdev" ? ` device "${wire(place)}"` : "";
  const type = hook === "output" && family !== "netdev" && random.chance(0.5) ? "route" : "filter";
  const names = family === "netdev" ? ["filter"] : ["raw", "mangle", "filter", "security", "filter - 5", "mangle + 7"];
  const priority = pick<number | string>(random, [-299, -150, 0, 0, 100, ...names]);
  const policy = random.chance(0.85) ? "accept" : "drop";
  return `type ${type} hook ${hook}${device} priority ${priority}; policy ${policy};\n`;
}

const chain = (name: string, head: string, lines: readonly string[]): string =>
  `chain ${name} {\n${head}${lines.map((line) => `${line}\n`).join("")}}`;

const ruleLines = (place: Place, count: number): string[] => Array.from({ length: count }, () => rule(place));

function rule(place: Place): string {
  const { random } = place;
  const matches = Array.from({ length: pick(random, [0, 1, 1, 1, 2]) }, () => drawMatch(place));
  const does = random.chance(0.45) ? [drawStatement(place)] : [];
  const ends = random.chance(0.45) ? [drawVerdict(place)] : [];
  const again = does.length > 0 && random.chance(0.4) ? ["counter"] : [];
  return [...matches, "counter", ...does, ...again, ...ends].join(" ");
}
