/**
 * Random rule sets for a drawn network of wires, in nft's words: tables of every family with base chains at every hook, rules that match,
 * count, write, copy, send elsewhere, answer and decide. nft refuses some lines; what it took is what is recorded.
 */
import type { Ip } from "../../runtime/net/ip.ts";
import { formatIp } from "../../runtime/net/ip.ts";
import type { Random } from "../../src/bench/random.ts";
import { between, pick } from "./draw.ts";
import type { DrawnNetwork } from "./network.ts";

type Family = "ip" | "ip6" | "inet" | "netdev";
const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;
const OUTGOING: readonly string[] = ["output", "postrouting", "egress"];

/** @param writes with rules that change packets: what a hook then logs of them is not what came in */
export function drawRuleSet(random: Random, network: DrawnNetwork, writes: boolean): string {
  const families: Family[] = ["inet", "netdev", ...(random.chance(0.5) ? [pick<Family>(random, ["ip", "ip6"])] : [])];
  return families.map((family, i) => new TableDrawing(random, network, family, writes).text(`t${i}`)).join("\n");
}

class TableDrawing {
  readonly #random: Random;
  readonly #network: DrawnNetwork;
  readonly #family: Family;
  readonly #writes: boolean;
  /** The hook of the base chain being drawn; null: a regular chain. */
  #hook: string | null = null;

  constructor(random: Random, network: DrawnNetwork, family: Family, writes: boolean) {
    this.#writes = writes;
    this.#random = random;
    this.#network = network;
    this.#family = family;
  }

  text(name: string): string {
    const random = this.#random;
    const sub = this.#chain("sub", "", between(random, 1, 4));
    const hooks = this.#family === "netdev" ? ["ingress", "ingress", "egress"] : this.#someHooks();
    const bases = hooks.map((hook, i) => {
      this.#hook = hook;
      return this.#chain(`${hook}${i}`, this.#head(hook), between(random, 2, 6));
    });
    return [`table ${this.#family} ${name} {`, sub, ...bases, "}"].join("\n");
  }

  #someHooks(): readonly string[] {
    const random = this.#random;
    const drawn = HOOKS.filter(() => random.chance(0.6));
    return drawn.length === 0 ? ["prerouting"] : drawn;
  }

  #head(hook: string): string {
    const random = this.#random;
    const device = this.#family === "netdev" ? ` device "${this.#device()}"` : "";
    const type = hook === "output" && this.#family !== "netdev" && random.chance(0.5) ? "route" : "filter";
    const policy = random.chance(0.9) ? "accept" : "drop";
    return `type ${type} hook ${hook}${device} priority ${pick(random, [-150, 0, 0, 100])}; policy ${policy};\n`;
  }

  #chain(name: string, head: string, rules: number): string {
    const lines = Array.from({ length: rules }, () => `${this.#rule()}\n`);
    return `chain ${name} {\n${head}${lines.join("")}}`;
  }

  #rule(): string {
    const random = this.#random;
    const tests = Array.from({ length: pick(random, [0, 1, 1, 1, 2]) }, () => this.#test());
    const does = random.chance(0.45) ? [this.#statement()] : [];
    const ends = random.chance(0.45) ? [this.#verdict()] : [];
    return [...tests, "counter", ...does, ...(does.length > 0 && random.chance(0.4) ? ["counter"] : []), ...ends].join(
      " ",
    );
  }

  #device(): string {
    return pick(this.#random, this.#network.devices).name;
  }

  #anyDevice(): string {
    return pick(this.#random, [...this.#network.devices.map(({ name }) => name), ...this.#network.vrfs, "lo"]);
  }

  #address(isIpv6: boolean): string {
    const { own, neighbours, far } = this.#network;
    const some = [...own, ...neighbours, ...far].filter((ip) => (typeof ip === "bigint") === isIpv6);
    return formatIp(some.length === 0 ? ((isIpv6 ? 1n : 1) as Ip) : pick(this.#random, some));
  }

  #prefix(isIpv6: boolean): string {
    const length = pick(this.#random, isIpv6 ? [48, 64, 126, 127] : [8, 16, 24, 28, 31]);
    return `${this.#address(isIpv6)}/${length}`;
  }

  #ipv4(): string {
    const random = this.#random;
    const side = pick(random, ["saddr", "daddr"]);
    return pick(random, [
      () => `ip ${side} ${this.#prefix(false)}`,
      () => `ip ${side} != ${this.#prefix(false)}`,
      () => `ip ${side} { ${this.#prefix(false)}, ${this.#address(false)} }`,
      () => `ip ttl ${pick(random, ["> 1", "< 64", "64"])}`,
      () => `ip protocol ${pick(random, ["icmp", "{ tcp, udp }", "tcp"])}`,
      () => `ip dscp != cs0`,
      () =>
        `ip option ${pick(random, ["rr exists", "ra exists", "lsrr missing", "ssrr exists", "ra value 0", "rr length 39"])}`,
      () => `icmp type ${pick(random, ["echo-request", "{ echo-reply, destination-unreachable }"])}`,
      () =>
        `ip saddr . ip daddr { ${this.#address(false)} . ${this.#address(false)}, ${this.#prefix(false)} . 0.0.0.0/1 }`,
    ])();
  }

  #ipv6(): string {
    const random = this.#random;
    const side = pick(random, ["saddr", "daddr"]);
    return pick(random, [
      () => `ip6 ${side} ${this.#prefix(true)}`,
      () => `ip6 ${side} { ${this.#prefix(true)}, ff00::/8 }`,
      () => `ip6 hoplimit ${pick(random, ["> 1", "64"])}`,
      () => `ip6 nexthdr ${pick(random, ["tcp", "udp", "{ 0, 43, 44, 60 }"])}`,
      () => `exthdr ${pick(random, ["frag", "hbh", "dst", "rt"])} ${pick(random, ["exists", "missing"])}`,
      () => `icmpv6 type ${pick(random, ["echo-request", "{ 1, 2, 3, 4 }"])}`,
    ])();
  }

  #fib(): string {
    const random = this.#random;
    const flags = pick(random, ["", "", " . iif", " . oif", " . mark"]);
    const asked = pick(random, [
      `type ${pick(random, ["local", "unicast", "!= unicast", "{ broadcast, multicast }", "{ blackhole, unreachable, prohibit }"])}`,
      `oif ${pick(random, ["exists", "missing", "0"])}`,
      `oifname "${this.#anyDevice()}"`,
    ]);
    return `fib ${pick(random, ["saddr", "daddr"])}${flags} ${asked}`;
  }

  #test(): string {
    const random = this.#random;
    const outgoing = this.#hook !== null && OUTGOING.includes(this.#hook);
    const kinds = [
      ...(this.#family === "ip6" ? [] : [() => this.#ipv4(), () => this.#ipv4()]),
      ...(this.#family === "ip" ? [] : [() => this.#ipv6()]),
      () => this.#fib(),
      () => this.#fib(),
      () => this.#anyProtocol(),
      () => this.#anyProtocol(),
      () => (outgoing ? `oifname "${this.#anyDevice()}"` : `iifname "${this.#anyDevice()}"`),
    ];
    return pick(random, kinds)();
  }

  #anyProtocol(): string {
    const random = this.#random;
    return pick(random, [
      "meta l4proto { icmp, ipv6-icmp }",
      "meta l4proto tcp",
      "udp dport 1000-1999",
      "tcp dport { 53, 80 }",
      "tcp flags & (syn | ack) == syn",
      `tcp option ${pick(random, ["maxseg exists", "maxseg missing", "maxseg size > 1000", "sack-perm exists", "window missing"])}`,
      "th sport > 1500",
      "meta mark 0",
      "meta mark & 0x3 != 0",
      "meta pkttype { broadcast, multicast }",
      "meta length > 100",
      "meta protocol ip6",
      "@th,16,16 53",
      // Not where a flow label stands: the kernel chooses those of its own packets.
      "@nh,72,8 { 6, 17 }",
      "@ih,0,8 > 100",
      "@ll,0,8 2",
    ]);
  }

  #statement(): string {
    const random = this.#random;
    const family = this.#family;
    return pick(random, [
      () => `meta mark set ${pick(random, ["0x1", "0x10", "mark or 0x2", "mark xor 0x3"])}`,
      () => "meta priority set 6",
      ...(family === "ip6" || !this.#writes
        ? []
        : [
            () => `ip dscp set ${pick(random, ["af11", "cs1"])}`,
            () => `ip ttl set ${pick(random, [2, 63])}`,
            () => `ip daddr set ${this.#address(false)}`,
            () => `ip saddr set ${this.#address(false)}`,
          ]),
      ...(family === "ip" || !this.#writes
        ? []
        : [() => `ip6 hoplimit set 61`, () => `ip6 daddr set ${this.#address(true)}`, () => "ip6 dscp set af21"]),
      ...(this.#writes
        ? [() => `udp dport set ${pick(random, [53, 4000])}`, () => `tcp sport set ${pick(random, [80, 4001])}`]
        : []),
      ...(family === "netdev" ? [() => `dup to "${this.#device()}"`, () => `dup to "${this.#anyDevice()}"`] : []),
      () => "limit rate 2/second burst 3 packets",
      () => "limit rate over 500 bytes/second burst 300 bytes",
    ])();
  }

  #verdict(): string {
    const random = this.#random;
    const words = [
      ...["accept", "accept", "drop", "jump sub", "goto sub", "return", this.#vmap()],
      ...(this.#hook === null ? ["accept", "return"] : []),
    ];
    const word = pick(
      random,
      words.filter((one) => this.#hook !== null || !one.endsWith("sub")),
    );
    if (this.#family === "netdev")
      return random.chance(0.3) ? `fwd to "${this.#device()}"` : random.chance(0.15) ? this.#reject() : word;
    return random.chance(0.3) ? this.#reject() : word;
  }

  #vmap(): string {
    return `meta l4proto vmap { tcp : ${pick(this.#random, ["accept", "drop"])}, udp : ${this.#hook === null ? "return" : "jump sub"} }`;
  }

  #reject(): string {
    const random = this.#random;
    const only =
      this.#family === "ip"
        ? ["icmp host-prohibited"]
        : this.#family === "ip6"
          ? ["icmpv6 admin-prohibited"]
          : ["icmpx admin-prohibited", "icmpx host-unreachable"];
    return `reject with ${pick(random, [...only, "tcp reset"])}`;
  }
}
