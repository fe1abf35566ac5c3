/** Random chains, sets and maps over the devices of random-model.ts, as text: rules that tests of many kinds stand in. */
import fc from "fast-check";
import type { Netfilter } from "../../dsl/chain-model.ts";
import { checkText } from "../../dsl/check-text.ts";

const DEVICES = `
  vrf red { index 2; table 10 }
  vrf blue { index 3; table 20 }
  interface a { index 4; master red }
  interface b { index 5; master red }
  interface c { index 6; master blue }
  interface d { index 7 }
  interface e { index 1000 }`;

type Family = "ip" | "ip6" | "inet" | "netdev";

const from = <T>(...values: T[]) => fc.constantFrom(...values);
const list = (one: fc.Arbitrary<string>, minLength: number, maxLength: number) =>
  fc.uniqueArray(one, { minLength, maxLength, size: "max" });
const braces = (items: readonly string[]): string => `{ ${items.join(", ")} }`;

const address = from(
  "10.0.0.1",
  "10.0.0.7",
  "10.0.1.1",
  "10.0.1.7",
  "10.0.2.7",
  "172.16.0.1",
  "192.168.0.9",
  "224.0.0.1",
);
const prefix = from("10.0.0.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "10.0.1.0/30", "0.0.0.0/1");
const address6 = from("2001:db8::1", "2001:db8::7", "2001:db8:0:1::7", "fe80::7", "ff02::1", "fd00::9", "::1");
const prefix6 = from("2001:db8::/32", "2001:db8::/64", "fe80::/10", "fc00::/7", "2001:db8:0:1::/127");
const port = fc.oneof(fc.integer({ min: 0, max: 65535 }), from(0, 53, 80, 256)).map(String);
const portRange = fc
  .tuple(fc.integer({ min: 0, max: 30000 }), fc.integer({ min: 0, max: 30000 }))
  .map(([a, n]) => `${a}-${a + n}`);
const mac = from("02:00:00:00:00:04", "02:00:00:00:07:07", "ff:ff:ff:ff:ff:ff");
const mark = from("0", "1", "2", "0x10", "0xff");
const op = from("", "", "== ", "!= ");
const order = from("< ", "> ", "<= ", ">= ");

/** Single values, and more of them than are compared one by one. */
const manyAddresses = list(
  fc.integer({ min: 0, max: 300 }).map((n) => `10.0.${n >> 8}.${n & 255}`),
  9,
  40,
);
const manyPorts = list(fc.integer({ min: 0, max: 65535 }).map(String), 9, 40);
/** Disjoint ranges. */
const manyRanges = list(fc.integer({ min: 0, max: 600 }).map(String), 9, 30).map((starts) =>
  starts.map((start) => `${Number(start) * 100}-${Number(start) * 100 + 50}`),
);
const manyPrefixes = list(
  fc.integer({ min: 0, max: 255 }).map((n) => `10.0.${n >> 4}.${(n & 15) * 16}/28`),
  9,
  40,
);
const manyPrefixes6 = list(
  fc.integer({ min: 0, max: 15 }).map((n) => `2001:db8:0:${n}::/64`),
  9,
  14,
);
const manyPairs = list(
  fc.tuple(address, port).map((pair) => pair.join(" . ")),
  2,
  30,
);
const manyRangedPairs = list(
  fc.tuple(fc.oneof(address, prefix), fc.oneof(port, portRange)).map((pair) => pair.join(" . ")),
  2,
  24,
);

const text = (...parts: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part))).map((all) => all.join(""));

const ipMatch = fc.oneof(
  text("ip saddr ", op, fc.oneof(address, prefix)),
  text("ip daddr ", op, fc.oneof(address, prefix)),
  text("ip saddr ", order, address),
  text("ip daddr ", fc.oneof(manyAddresses, manyPrefixes).map(braces)),
  text("ip saddr != ", manyAddresses.map(braces)),
  text("ip protocol ", op, from("icmp", "tcp", "udp", "{ udp, tcp }", "{ 1-5, 50 }")),
  text("ip ttl ", order, from("2", "64", "1")),
  text("ip dscp ", op, from("0", "4", "46")),
  text("ip length ", order, from("40", "60", "100")),
  text("ip frag-off & 0x1fff ", from("!= 0", "== 0")),
  text("ip version 4"),
  text(
    "ip saddr . ip daddr ",
    list(
      fc.tuple(address, address).map((pair) => pair.join(" . ")),
      2,
      30,
    ).map(braces),
  ),
  text("ip daddr . udp dport ", manyPairs.map(braces)),
  text("ip daddr . udp dport ", manyRangedPairs.map(braces)),
  text("icmp type ", op, from("echo-request", "{ echo-reply, 3, 11 }", "5")),
);
const ip6Match = fc.oneof(
  text("ip6 saddr ", op, fc.oneof(address6, prefix6)),
  text("ip6 daddr ", op, fc.oneof(address6, prefix6)),
  text("ip6 daddr ", order, address6),
  text("ip6 saddr ", manyPrefixes6.map(braces)),
  text("ip6 hoplimit ", order, from("2", "64")),
  text("ip6 nexthdr ", op, from("tcp", "udp", "0", "44")),
  text("exthdr ", from("frag", "hbh", "dst", "rt"), " ", from("exists", "missing")),
  text("frag frag-off ", op, from("0", "5")),
  text("icmpv6 type ", op, from("echo-request", "{ 1, 135, 136 }")),
);
const anyMatch = fc.oneof(
  text("meta l4proto ", op, from("icmp", "tcp", "udp", "{ 1, 6, 17, 50 }")),
  text("tcp dport ", op, fc.oneof(port, portRange, manyPorts.map(braces), manyRanges.map(braces))),
  text("udp dport ", op, fc.oneof(port, portRange, manyPorts.map(braces), manyRanges.map(braces))),
  text("udp sport ", order, port),
  text("tcp flags ", from("syn", "& (syn | ack) == syn", "!= 0")),
  text("tcp option ", from("maxseg exists", "maxseg missing", "maxseg size > 5", "sack-perm exists")),
  text("meta mark ", op, mark),
  text("meta mark & 0x3 ", from("1", "!= 0")),
  text("meta mark ", from("{ 0, 2-5 }", "!= { 1, 0x10 }")),
  text("meta length ", order, from("60", "100", "40")),
  text("meta pkttype ", op, from("host", "broadcast", "{ multicast, broadcast }")),
  text("meta priority ", op, from("0", "6", "2")),
  text("meta protocol ", op, from("ip", "ip6")),
  text("@th,", from("0,16", "16,16", "3,5", "8,24", "0,64", "0,128", "16,56"), " ", op, from("0", "53", "8")),
  text("@nh,", from("0,4", "8,8", "64,32", "96,64", "20,13"), " ", op, from("4", "0", "1")),
  text("@ih,", from("0,8", "0,32"), " ", op, from("0", "1")),
  text("@ll,", from("0,48", "96,16", "112,8", "200,32"), " ", op, from("0", "0x45", "0x86")),
  text("ether saddr ", op, mac),
  text("ether daddr ", op, fc.oneof(mac, list(mac, 1, 3).map(braces))),
  text("ct state ", from("untracked", "new", "established,related")),
);
const ipOption = text(
  "ip option ",
  from(
    "rr exists",
    "rr missing",
    "lsrr exists",
    "ssrr missing",
    "ra exists",
    "ra value 0",
    "lsrr length > 7",
    "rr ptr 4",
  ),
);
/** Not all of them are allowed at every hook. */
const fibMatch = text(
  "fib ",
  from("saddr", "daddr"),
  from("", " . iif", " . oif", " . mark", " . mark . iif"),
  fc.oneof(
    text(" type ", op, from("local", "unicast", "{ local, broadcast, multicast }", "anycast", "unspec")),
    text(" oif ", op, from("0", "a", "c")),
    text(" oif ", from("exists", "missing")),
    text(" oifname ", op, from('"a"', '"red"', '{ "b", "c" }')),
  ),
);
const inMatch = fc.oneof(
  text("iifname ", op, from('"red"', '"a"', '"b"', '{ "c", "d" }')),
  text("meta iifgroup ", op, from("0", "7")),
  text("meta iiftype ", op, from("ether", "loopback")),
  text("meta sdif ", op, from("a", "b")),
);
const outMatch = fc.oneof(
  text("oifname ", op, from('"red"', '"a"', '"b"', '"lo"')),
  text("meta oifgroup ", op, from("0", "7")),
);

const statement = (family: Family): fc.Arbitrary<string> =>
  fc.oneof(
    ...[
      from("counter", "counter", "counter name shared"),
      text("meta mark set ", mark),
      text("meta priority set ", from("0", "6")),
    ],
    ...[from("log", 'log prefix "seen" level info'), text("meta pkttype set ", from("host", "broadcast", "multicast"))],
    ...[
      text(
        "limit rate ",
        from("over ", ""),
        from("10/second", "3/second burst 2 packets", "100 bytes/second", "1 kbytes/minute burst 500 bytes"),
      ),
    ],
    ...[
      text("tcp option maxseg size set ", from("536", "1400", "meta mark map { 0 : 900, 1 : 1 }")),
      from("tcp option timestamp tsval set 5", "tcp option sack left set tcp sequence"),
    ],
    ...[from("limit name slow", "meta mark set meta mark | 0x4", "meta mark set meta length")],
    ...(family === "netdev"
      ? [
          text("dup to ", from("a", "b", "c", "red", "lo", "meta mark map { 0 : c, 1 : d }")),
          text("ip daddr set ", address),
        ]
      : []),
    ...(family === "ip6" || family === "netdev"
      ? []
      : [
          text("ip ttl set ", from("1", "64")),
          text("ip dscp set ", from("4", "0")),
          text("ip daddr set ", address),
          text("ip saddr set ", address),
          text("udp dport set ", port),
          text("tcp sport set ", port),
          text("meta mark set ip saddr map { 10.0.0.1 : 1, 10.0.0.7 : 2, 10.0.1.0/24 : 3 }"),
        ]),
    ...(family === "ip" || family === "netdev" ? [] : [text("ip6 daddr set ", address6), text("ip6 hoplimit set 1")]),
  );

const reject = (family: Family): fc.Arbitrary<string> =>
  from(
    ...["reject", "meta l4proto tcp reject with tcp reset"],
    ...(family === "ip" ? ["reject with icmp host-unreachable"] : []),
    ...(family === "ip6" ? ["reject with icmpv6 addr-unreachable"] : []),
    ...(family === "inet" || family === "netdev" ? ["reject with icmpx admin-prohibited"] : []),
    ...(family === "inet" ? ["reject with icmp net-unreachable"] : []),
  );

/** @param later chains that may be jumped to */
const verdict = (family: Family, later: readonly string[], base: boolean): fc.Arbitrary<string> => {
  const targets =
    later.length === 0 ? [] : [text(from("jump ", "goto "), from(...later)), text("jump ", from(...later))];
  const word = fc.oneof(from("accept", "drop", "continue", ...(base ? [] : ["return"])), ...targets);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant("") },
    { weight: 2, arbitrary: from("accept", "drop", "accept", "accept", "return") },
    { weight: 1, arbitrary: reject(family) },
    ...(family === "netdev"
      ? [
          {
            weight: 1,
            arbitrary: text("fwd to ", from("a", "b", "c", "d", "red", "blue", "lo", "meta mark map { 0 : c }")),
          },
        ]
      : []),
    ...targets.map((arbitrary) => ({ weight: 2, arbitrary })),
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.uniqueArray(from("1", "2", "6", "17", "50"), { minLength: 1, maxLength: 4 }),
          fc.array(word, { minLength: 4, maxLength: 4 }),
        )
        .map(([keys, words]) => `meta l4proto vmap ${braces(keys.map((key, i) => `${key} : ${words[i]}`))}`),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(manyPorts, fc.array(word, { minLength: 40, maxLength: 40 }))
        .map(([keys, words]) => `udp dport vmap ${braces(keys.map((key, i) => `${key} : ${words[i]}`))}`),
    },
  );
};

const HOOKS = ["prerouting", "input", "forward", "output", "postrouting"] as const;

function rule(family: Family, hook: string | null, later: readonly string[]): fc.Arbitrary<string> {
  const device =
    hook === null || hook === "forward"
      ? []
      : hook === "output" || hook === "postrouting" || hook === "egress"
        ? [outMatch]
        : [inMatch];
  const matches = fc.oneof(
    anyMatch,
    ...(family === "ip6" ? [] : [ipMatch, ipMatch]),
    ...(family === "ip" ? [] : [ip6Match]),
    ...(family === "ip6" ? [] : [ipOption]),
    fibMatch,
    ...device,
  );
  return fc
    .tuple(
      fc.array(matches, { maxLength: 2 }),
      fc.array(statement(family), { maxLength: 2 }),
      verdict(family, later, hook !== null),
    )
    .map(([tests, statements, decision]) => [...tests, ...statements, decision].join(" ").trim() || "counter");
}

const rules = (family: Family, hook: string | null, later: readonly string[], most: number) =>
  fc.array(rule(family, hook, later), { minLength: 1, maxLength: most, size: "max" }).map((all) => all.join("\n    "));

const table = (family: Family, name: string): fc.Arbitrary<string> => {
  const regular = ["one", "two", "three"];
  const chains = regular.map((chain, i) =>
    rules(family, null, regular.slice(i + 1), 5).map((body) => `chain ${chain} {\n    ${body}\n  }`),
  );
  const hooks = family === "netdev" ? ["ingress", "egress"] : HOOKS;
  const base = fc
    .record({
      hook: from(...hooks),
      priority: from("0", "-150", "10"),
      policy: from("accept", "accept", "accept", "drop"),
      device: from("a", "c", "d", "red", "lo"),
      type: from("filter", "route"),
    })
    .chain(({ hook, priority, policy, device, type: any }) =>
      rules(family, hook, regular, 8).map((body) => {
        const on = family === "netdev" ? ` device ${device}` : "";
        const type = hook === "output" ? any : "filter";
        return { hook, text: `type ${type} hook ${hook}${on} priority ${priority}; policy ${policy};\n    ${body}` };
      }),
    );
  const bases = fc
    .array(base, { minLength: 1, maxLength: 4 })
    .map((all) => all.map(({ text: body }, i) => `chain base${i} {\n    ${body}\n  }`));
  return fc
    .tuple(bases, ...chains)
    .map(([own, ...others]) =>
      [
        `table ${family} ${name} {`,
        "  counter shared { packets 3 bytes 40 }",
        "  limit slow { rate 2/second burst 1 packets }",
        ...others,
        ...own,
        "}",
      ].join("\n  "),
    );
};

type ProgramHook = "xdp" | "tc ingress" | "tc egress";

const program = (hook: ProgramHook, device: string): fc.Arbitrary<string> => {
  const verdicts = hook === "xdp" ? ["PASS", "DROP", "TX", "ABORTED"] : ["OK", "SHOT"];
  const word = from(...verdicts, "", "", "continue", "return", "jump apart", "goto apart");
  const redirect = text("REDIRECT ", from("a", "b", "c", "d", "e", "red", "lo"));
  const end = fc.oneof({ weight: 5, arbitrary: word }, { weight: 2, arbitrary: redirect });
  const where = hook === "tc egress" ? outMatch : inMatch;
  const line = fc
    .tuple(
      fc.array(fc.oneof(anyMatch, ipMatch, ip6Match, where), { minLength: 1, maxLength: 2 }),
      fc.array(statement("inet"), { maxLength: 2 }),
      end,
    )
    .map(([tests, statements, decision]) => [...tests, ...statements, decision].join(" ").trim());
  return fc
    .tuple(fc.array(line, { minLength: 1, maxLength: 6 }), from("", "", `    policy ${verdicts[1]}`))
    .map(([lines, policy]) => `on ${hook} ${device} {\n${policy}\n    ${lines.join("\n    ")}\n  }`);
};

/** The text of some programs, and of a chain that they lead to. */
export const anyPrograms: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(
      fc.oneof(
        ...[program("xdp", "a"), program("xdp", "c"), program("tc ingress", "a"), program("tc ingress", "red")],
        ...[
          program("tc ingress", "lo"),
          program("tc ingress", "d"),
          program("tc egress", "b"),
          program("tc egress", "red"),
        ],
        ...[program("tc egress", "a"), program("tc egress", "lo")],
      ),
      { minLength: 3, maxLength: 7 },
    ),
    fc.array(fc.tuple(anyMatch, statement("inet"), from("", "", "return", "accept", "drop")), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([programs, rules]) => {
    const seen = new Set<string>();
    const once = programs.filter((body) => {
      const device = body.match(/^on xdp \w+/)?.[0];
      if (device === undefined) return true;
      return !seen.has(device) && seen.add(device);
    });
    const chain = `  chain apart {\n    ${rules.map((parts) => parts.join(" ")).join("\n    ")}\n  }`;
    return [chain, ...once.map((body, i) => `  program p${i} ${body}`)].join("\n");
  });

/** The text of some tables. */
export const anyChains: fc.Arbitrary<string> = fc
  .array(from<Family>("ip", "ip6", "inet", "inet", "netdev"), { minLength: 1, maxLength: 3 })
  .chain((families) => fc.tuple(...families.map((family, i) => table(family, `t${i}`))))
  .map((tables) => tables.join("\n"));

/** What the text means without the lines that the checker refuses: rules are drawn without a look at what fits together. */
export function readChains(chains: string): Netfilter {
  const lines = `${DEVICES}\n${chains}\n`.split("\n");
  for (;;) {
    const text = lines.join("\n");
    const { model, diagnostics } = checkText(text);
    const errors = diagnostics.filter(({ severity }) => severity === "error");
    if (model !== null && errors.length === 0) return model.nets[0].netfilter;
    for (const { message, primary } of errors) {
      const line = text.slice(0, primary.span.start).split("\n").length - 1;
      if (!/^ {4}/.test(lines[line]) || /^ {4}type/.test(lines[line])) throw new Error(`${message}: ${lines[line]}`);
      lines[line] = "    counter";
    }
  }
}
