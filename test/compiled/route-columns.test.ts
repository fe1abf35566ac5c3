/**
 * Routes of files as rows (dsl/route-columns.ts), against the same file read as a short one is, whose lines are routes each: the same is
 * refused in the same words, the model has the same routes, and modules answer, trace and change alike.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ROWS_FROM_BYTES } from "../../dsl/check/route-files.ts";
import { checkText } from "../../dsl/check-text.ts";
import { deviceOf, type Model, type Net, type Route } from "../../dsl/model.ts";
import { allRoutes, routeCount, routeOf } from "../../dsl/route-columns.ts";
import { type RouteId, routeId } from "../../runtime/brand.ts";
import { Dataplane } from "../../runtime/dataplane.ts";
import type { Engine } from "../../runtime/engine.ts";
import { PrefixTrie } from "../../runtime/lpm/prefix-trie.ts";
import { readManifest, routesOfManifest } from "../../runtime/manifest.ts";
import { formatPrefix, mask4, parseIp } from "../../runtime/net/ip.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { RouteError } from "../../runtime/refusal.ts";
import type { TraceStep } from "../../runtime/trace.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { buildFib } from "../../src/fib/build.ts";
import { printFibs } from "../../src/fib/print.ts";
import { buildTrie } from "../../src/fib/trie.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { inetRouteGet } from "../../src/route-get.ts";
import { judge } from "../updates/packets.ts";

const prefix = fc
  .tuple(
    fc.constantFrom(
      "10.0.0.0",
      "10.0.1.0",
      "10.0.1.128",
      "10.1.2.3",
      "10.128.0.0",
      "192.0.2.0",
      "192.0.2.9",
      "8.8.8.8",
    ),
    fc.constantFrom(0, 1, 4, 8, 12, 16, 23, 24, 25, 31, 32),
  )
  .map(([text, length]) => formatPrefix({ address: ((parseIp(text) as number) & mask4(length)) >>> 0, length }));

const rest = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom("via 10.0.0.2", "via 10.0.0.3", "via 10.0.1.7 dev out0") },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...[
        "dev out0",
        "dev in0",
        "via 10.0.0.2 metric 10",
        "via 10.0.0.3 tos 0x10",
        "via 10.0.0.2 src 10.0.0.1",
        "via 10.0.9.9",
      ],
      ...["via 10.0.0.2 # far", "via 192.0.2.9", "via 192.0.2.9 dev out0 onlink", "via 10.0.0.2 table 100", "metric 7"],
      ...["via 10.0.0.300", "nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3", "via inet6 fe80::1 dev out0", ""],
    ),
  },
);

const line = fc.oneof(
  { weight: 12, arbitrary: fc.tuple(prefix, rest).map((words) => words.join(" ")) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...[
        "",
        "# none",
        "unreachable 10.1.0.0/16",
        "blackhole 10.1.2.3",
        "default via 10.0.0.2",
        "10.0.0.1/8 via 10.0.0.2",
      ],
      ...[
        "10.0.0.0/33 via 10.0.0.2",
        "2001:db8::/32 via fe80::1 dev out0",
        "  10.64.0.0/10 via 10.0.0.3",
        "10.09.0.0/16 via 10.0.0.2",
      ],
      ...["throw 10.0.1.128/25", "local 10.0.1.9", "10.2.0.0/16 via 10.0.0.2\r"],
    ),
  },
);

const MOST_LINES = 20;
const drawn = fc.record({
  lines: fc.array(line, { maxLength: MOST_LINES, size: "max" }),
  others: fc.array(fc.tuple(prefix, fc.constantFrom("via 10.0.0.2", "via 10.0.0.3 metric 9")), { maxLength: 3 }),
  before: fc.boolean(),
  suppress: fc.constantFrom(-1, 0, 8, 24),
});
/** Seldom refused: what is wrong by itself is left out. */
const accepted = drawn.map((input) => {
  const seen = new Set(input.others.map(([to]) => to));
  const isFirst = (text: string): boolean => {
    const to = text.split(" ")[0];
    return text.includes("metric") || text.includes("tos") || (!seen.has(to) && seen.add(to) !== undefined);
  };
  const isGood = (text: string): boolean =>
    !/10\.0\.9\.9|\.300|\/33|\.09|0\.1\/8|metric 7|\/\d+ $|192\.0\.2\.9$/.test(text);
  return { ...input, lines: input.lines.filter((text) => isGood(text) && isFirst(text)) };
});
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never;

function textOf({ others, before, suppress }: Drawn): string {
  const routes = others.map(([to, how]) => `route ${to} ${how}`).join("\n");
  return `sysctl net.ipv4.ip_forward = 1
vrf red { table 100 }
interface in0 { master red; address 172.16.0.1/24 }
interface out0 { master red; address 10.0.0.1/23 }
neighbour 10.0.0.2 lladdr 02:00:00:00:00:02 dev out0
neighbour 10.0.0.3 lladdr 02:00:00:00:00:03 dev out0
${suppress < 0 ? "" : `rule 900 lookup 100 suppress_prefixlength ${suppress}`}
table 100 {
${before ? routes : ""}
routes from "rib"
${before ? "" : routes}
route unreachable default metric 4278198272
}
`;
}

/** The file as it is, and longer by a comment. */
function bothWays(input: Drawn) {
  const file = input.lines.join("\n");
  expect(file.length).toBeLessThan(ROWS_FROM_BYTES);
  const text = textOf(input);
  const check = (contents: string) => checkText(text, "net.vrf", { readFile: () => contents });
  return { objects: check(file), rows: check(`${file}\n#${" ".repeat(ROWS_FROM_BYTES)}\n`) };
}

const withoutId = ({ id: _, ...route }: Route) => route;

test("the model has the same routes, and the same is refused", () => {
  let rowsSeen = 0;
  fc.assert(
    fc.property(drawn, (input) => {
      const { objects, rows } = bothWays(input);
      expect(rows.diagnostics).toEqual(objects.diagnostics);
      if (objects.model === null || rows.model === null) return;
      const [net, same] = [rows.model.nets[0], objects.model.nets[0]];
      expect(same.columns).toEqual([]);
      rowsSeen += routeCount(net) - net.routes.length;
      expect(allRoutes(net).map(withoutId)).toEqual(same.routes.map(withoutId));
      for (let id = 0; id < routeCount(net); id++) expect(routeOf(net, routeId(id)).id).toBe(id);
      expect(numberless(printFibs(buildFib(rows.model)))).toBe(numberless(printFibs(buildFib(objects.model))));
    }),
    { numRuns: 300 },
  );
  expect(rowsSeen).toBeGreaterThan(100);
});

const numberless = (dump: string): string => dump.replaceAll(/route \d+/g, "route");

test("a duplicate is refused with its line, whether the first is a row, a route of the text or of another file", () => {
  const pad = `#${" ".repeat(ROWS_FROM_BYTES)}\n`;
  const said = (table: string, files: Readonly<Record<string, string>>) =>
    checkText(
      `vrf red { table 100 }\ninterface e { master red; address 10.0.0.1/24 }\ntable 100 {\n${table}\nroute unreachable default metric 4278198272\n}`,
      "net",
      {
        readFile: (name) => pad + files[name],
      },
    ).diagnostics.map(({ code, message }) => `${code} ${message}`);
  const again = "table red already has a route to 10.1.0.0/16 of metric 0";
  const one = "10.1.0.0/16 via 10.0.0.2\n";
  expect(said('routes from "a"', { a: `${one}10.2.0.0/16 via 10.0.0.2\n${one}` })).toEqual([`E0254 a:4: ${again}`]);
  expect(said('routes from "a"\nroute 10.1.0.0/16 via 10.0.0.3', { a: one })).toEqual([`E0254 ${again}`]);
  expect(said('route 10.1.0.0/16 via 10.0.0.3\nroutes from "a"', { a: one })).toEqual([`E0254 a:2: ${again}`]);
  expect(said('routes from "a"\nroutes from "b"', { a: one, b: one })).toEqual([`E0254 b:2: ${again}`]);
});

test("a gateway is checked again once a line has given its address another route", () => {
  const check = (file: string) =>
    checkText(
      'vrf red { table 100 }\ninterface e { master red; address 10.0.0.1/24 }\ninterface f { master red; address 10.9.0.1/24 }\ntable 100 { routes from "a"; route unreachable default metric 4278198272 }',
      "net",
      { readFile: () => `#${" ".repeat(ROWS_FROM_BYTES)}\n${file}` },
    );
  const [before, between, behind] = ["10.1.0.0/16 via 10.0.0.9\n", "10.0.0.8/29 dev f\n", "10.2.0.0/16 via 10.0.0.9\n"];
  const { model } = check(before + between + behind);
  const byPrefix = new Map(allRoutes(model!.nets[0]).map((route) => [formatPrefix(route.prefix), route]));
  const deviceTo = (to: string) => deviceOf(model!.nets[0], byPrefix.get(to)!.nexthops[0].device)?.name;
  expect(["10.1.0.0/16", "10.2.0.0/16"].map(deviceTo)).toEqual(["e", "f"]);
});

describe("a module of rows", () => {
  const DESTINATIONS = [
    "10.0.0.2",
    "10.0.1.5",
    "10.0.1.130",
    "10.1.2.3",
    "10.1.9.9",
    "10.129.0.1",
    "192.0.2.9",
    "8.8.8.8",
  ];
  const DESTINATIONS2 = ["192.0.2.77", "8.8.8.9", "1.2.3.4", "200.0.0.1", "10.0.0.1", "10.0.1.255"];
  const packets = [...DESTINATIONS, ...DESTINATIONS2].flatMap((to) =>
    [
      { entry: Entry.RECEIVE, device: 3, tos: 0 },
      { entry: Entry.RECEIVE, device: 3, tos: 0x10 },
      { entry: Entry.LOOKUP, device: 2, tos: 0 },
      { entry: Entry.LOOKUP, device: 4, tos: 0 },
    ].map(({ tos, ...where }) => {
      const source = where.entry === Entry.RECEIVE ? 0xac100007 : 0;
      const header = { tos, identification: 1, dontFragment: true, ttl: 9, protocol: 17, source };
      return {
        ...where,
        mark: 0,
        packet: ipv4Packet({ ...header, destination: parseIp(to) as number }, new Uint8Array(12)),
      };
    }),
  );
  const macs = (net: Net) => new Map(net.devices.map(({ ifindex, mac }) => [ifindex as number, mac as number]));

  async function loaded(model: Model): Promise<Dataplane> {
    const module = await WebAssembly.compile((await compileModel(model, { level: 0 })).artifact);
    return new Dataplane(new WebAssembly.Instance(module), readManifest(module));
  }

  /** Routes by what they are, not by their numbers. */
  const told = (net: Net, steps: readonly TraceStep[]) =>
    steps.map((step) => {
      const id = "route" in step ? (step.route as RouteId | null) : null;
      return id === null ? step : { ...step, route: withoutId(routeOf(net, id)) };
    });

  function traces(engine: Engine, net: Net) {
    return packets.map(({ entry, device, mark, packet }) => {
      const batch = engine.createBatch(1, 512);
      batch.put(packet, { entry: entry === Entry.RECEIVE ? Entry.ROUTE_INPUT : entry, device, mark });
      return told(net, engine.trace(batch)[0]);
    });
  }

  const CHANGES = [
    "add 10.77.0.0/16 via 10.0.0.2",
    "add 10.1.2.3/32 via 10.0.0.3",
    "replace 10.0.1.0/24 via 10.0.0.3",
    "append 10.1.0.0/16 via 10.0.0.2",
    "del 10.0.0.0/8",
    "del 192.0.2.0/24",
    "del 8.8.8.8/32",
    "add 8.0.0.0/8 via 192.0.2.9",
    "replace 0.0.0.0/0 via 10.0.0.3",
  ];

  function change(dataplane: Dataplane, command: string): string {
    try {
      dataplane.routes(0).run(`${command} table 100`);
      return "";
    } catch (error) {
      if (error instanceof RouteError) return error.message;
      throw error;
    }
  }

  test("answers, traces, finds routes and changes as one of routes does, and as the reference", async () => {
    await fc.assert(
      fc.asyncProperty(accepted, fc.shuffledSubarray(CHANGES), async (input, changes) => {
        const { objects, rows } = bothWays(input);
        fc.pre(objects.model !== null && rows.model !== null);
        const [net, same] = [rows.model!.nets[0], objects.model!.nets[0]];
        const [a, b] = [await loaded(rows.model!), await loaded(objects.model!)];
        expect(routesOfManifest(a.manifest.nets[0])).toBe(routeCount(net));
        const reference = referenceEngine(net, rows.model!.kernel);
        expect(judge(a.nets[0], packets, macs(net))).toEqual(judge(reference, packets, macs(net)));
        expect(judge(a.nets[0], packets, macs(net))).toEqual(judge(b.nets[0], packets, macs(same)));
        expect(traces(a.nets[0], net)).toEqual(traces(b.nets[0], same));
        expect(traces(a.nets[0], net)).toEqual(traces(reference, net));
        const asked = { src: 0, iif: 0, oif: 2, mark: 0, tos: 0, protocol: 17, sport: 0, dport: 0, uid: 0 };
        for (const to of DESTINATIONS) {
          const get = (engine: Engine, of: Net) => {
            const found = inetRouteGet(engine, engine.createBatch(1, 512), of, {
              ...asked,
              dst: parseIp(to) as number,
            });
            if (found.error !== 0 || found.route === null) return found;
            return { ...found, route: withoutId(routeOf(of, found.route)) };
          };
          expect(get(a.nets[0], net)).toEqual(get(b.nets[0], same));
        }
        for (const command of changes) expect([command, change(a, command)]).toEqual([command, change(b, command)]);
        expect(judge(a.nets[0], packets, macs(net))).toEqual(judge(b.nets[0], packets, macs(same)));
      }),
      { numRuns: 40 },
    );
  });

  test("says the line of every row", async () => {
    const file = Array.from({ length: 60 }, (_, i) =>
      i % 7 === 3 ? "# " : `10.${i}.0.0/16 via 10.0.0.${2 + (i % 3)}`,
    );
    const { model } = checkText(
      'vrf red { table 100 }\ninterface e { master red; address 10.0.0.1/24 }\ntable 100 { routes from "rib" }',
      "net",
      { readFile: () => file.join("\n") },
    );
    const { manifest } = await compileModel(model!, { level: 0 });
    const [{ origins, runs }] = manifest.nets[0].lines;
    const lines = Array.from({ length: runs.length / 3 }, (_, k) => runs.slice(3 * k, 3 * k + 3)).flatMap(
      ([origin, first, count]) => Array.from({ length: count }, (_, i) => `${origins[origin].file![0]}:${first + i}`),
    );
    expect(lines).toEqual(file.flatMap((words, i) => (words === "# " ? [] : [`0:${i + 1}`])));
    expect(lines).toHaveLength(routeCount(model!.nets[0]) - model!.nets[0].routes.length);
  });
});

test("the trie is that of prefixes set one by one", () => {
  fc.assert(
    fc.property(fc.uniqueArray(prefix, { maxLength: 40 }), (texts) => {
      const prefixes = texts.map((text) => {
        const [ip, length] = text.split("/");
        return { address: parseIp(ip) as number, length: Number(length) };
      });
      prefixes.sort((a, b) => a.address - b.address || a.length - b.length);
      const { nodes, root, depth } = buildTrie({
        addresses: Uint32Array.from(prefixes, ({ address }) => address),
        lengths: Uint8Array.from(prefixes, ({ length }) => length),
        results: Uint32Array.from(prefixes, (_, i) => i + 1),
        routes: Uint32Array.from(prefixes, (_, i) => 100 + i),
      });
      const twin = new PrefixTrie();
      for (const [i, { address, length }] of prefixes.entries())
        twin.setNote(twin.set(address, length, i + 1), 100 + i);
      const compare = (node: number, other: number, above: number, level: number): number => {
        if (node === 0 || other === 0) {
          expect([node, other]).toEqual([0, 0]);
          return level;
        }
        const [key, length, value, zero, one, over, note] = nodes.subarray(8 * node);
        expect([key, length, value, note, over]).toEqual([
          ...[twin.keyOf(other), twin.lengthOf(other), twin.valueOf(other), twin.noteOf(other), above],
        ]);
        return Math.max(
          compare(zero, twin.below(other, 0), node, level + 1),
          compare(one, twin.below(other, 1), node, level + 1),
        );
      };
      expect(compare(root, twin.root, 0, 0)).toBe(depth);
    }),
  );
});
