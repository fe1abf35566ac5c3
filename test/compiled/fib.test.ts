/** buildFib: order, covers, what is settled; and that the entries give what fib_table_lookup gives. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { NextHop } from "../../dsl/model.ts";
import { inPrefix, network } from "../../runtime/net/ip.ts";
import { buildFib } from "../../src/fib/build.ts";
import type { Fib } from "../../src/fib/fib.ts";
import { printFib } from "../../src/fib/print.ts";
import { inetSelectAddr } from "../../src/fib/source.ts";
import { inet_select_addr } from "../../src/reference/devinet.ts";
import { fib_rebalance } from "../../src/reference/fib_semantics.ts";
import { NetNamespace } from "../../src/reference/net.ts";
import { anyModel } from "./random-model.ts";

test("a table as text: prefixes in order, aliases by TOS and metric, covers, what is settled, bounds of a multipath route", () => {
  const policy = `
    interface eth0 { address 10.0.0.1/24 }
    route 10.1.0.0/16 via 10.0.0.2 metric 20
    route 10.1.0.0/16 via 10.0.0.3 metric 10
    route 10.1.0.0/16 via 10.0.0.4 tos 0x10
    route 10.1.2.0/24 nexthop via 10.0.0.5 weight 1 nexthop via 10.0.0.6 weight 2
    route blackhole 10.1.2.128/25
    route default via 10.0.0.9`;
  const { model } = checkText(policy);
  const main = buildFib(model!).find((fib) => fib.table === 254 && fib.family === 4)!;
  expect(printFib(main).replaceAll(/ +/g, " ")).toBe(
    [
      "fib net 0 inet table 254: 5 entries",
      " 0 0.0.0.0/0 settled route 0 unicast scope 0 via 10.0.0.9 dev 2 src 10.0.0.1",
      " 1 10.0.0.0/24 settled cover 0 route 1 unicast scope 253 prefsrc 10.0.0.1 dev 2 src 10.0.0.1",
      " 2 10.1.0.0/16 cover 0 route 2 unicast tos 0x10 scope 0 via 10.0.0.4 dev 2 src 10.0.0.1",
      " route 3 unicast metric 10 scope 0 via 10.0.0.3 dev 2 src 10.0.0.1",
      " route 4 unicast metric 20 scope 0 via 10.0.0.2 dev 2 src 10.0.0.1",
      " 3 10.1.2.0/24 settled cover 2 route 5 unicast scope 0 via 10.0.0.5 dev 2 src 10.0.0.1 bound 715827882 via 10.0.0.6 dev 2 src 10.0.0.1 bound 2147483647",
      " 4 10.1.2.128/25 settled cover 3 route 6 blackhole error EINVAL",
      "",
    ].join("\n"),
  );
});

describe("of any model", () => {
  const everyFib = (check: (fib: Fib) => void) =>
    fc.assert(
      fc.property(anyModel(2), (model) => buildFib(model).forEach(check)),
      { numRuns: 60 },
    );

  test("every route stands once, with its prefix, in the model's order", () => {
    fc.assert(
      fc.property(anyModel(2), (model) => {
        const fibs = buildFib(model);
        for (const net of model.nets) {
          const own = fibs.filter((fib) => fib.net === net.index);
          const placed = own.flatMap(({ entries }) =>
            entries.flatMap(({ aliases }) => aliases.map(({ route }) => route)),
          );
          expect(placed.map(({ id }) => id).sort((a, b) => a - b)).toEqual(net.routes.map(({ id }) => id));
        }
        for (const { table, entries } of fibs)
          for (const { prefix, aliases } of entries) {
            const ids = aliases.map(({ route }) => route.id);
            expect(ids).toEqual([...ids].sort((a, b) => a - b));
            for (const { route } of aliases) expect([route.table, route.prefix]).toEqual([table, prefix]);
          }
      }),
      { numRuns: 60 },
    );
  });

  test("cover is the longest shorter prefix that contains the entry's", () => {
    everyFib(({ entries }) => {
      for (const { prefix, cover } of entries) {
        const around = entries.filter((e) => e.prefix.length < prefix.length && inPrefix(e.prefix, prefix.address));
        const longest = around.sort((a, b) => b.prefix.length - a.prefix.length)[0];
        expect(cover === null ? undefined : entries[cover]).toBe(longest);
        expect(network(prefix.address, prefix.length)).toBe(prefix.address);
      }
    });
  });

  const isIpv4 = ({ family }: Fib) => family === 4;
  /** An IPv6 route that refuses has lo as its next hop. */
  const hopCount6 = (nexthops: readonly NextHop[]) => Math.max(nexthops.length, 1);

  test("settled: no flow without oif passes over the first alias and its first hop", () => {
    everyFib((fib) => {
      for (const { settled, aliases } of isIpv4(fib) ? fib.entries : []) {
        const { route, error } = aliases[0];
        const [first] = route.nexthops;
        expect(settled).toBe(route.tos === 0 && (error !== 0 || (first !== undefined && !first.dead)));
      }
    });
  });

  test("settled, IPv6: there is one next hop to choose, and it lives", () => {
    everyFib((fib) => {
      for (const { settled, aliases } of isIpv4(fib) ? [] : fib.entries) {
        const hops = aliases.reduce((sum, { route }) => sum + hopCount6(route.nexthops), 0);
        expect(settled).toBe(hops === 1 && aliases[0].route.nexthops[0]?.dead !== true);
      }
    });
  });

  test("bounds are fib_rebalance's", () => {
    everyFib((fib) => {
      for (const { aliases } of isIpv4(fib) ? fib.entries : [])
        for (const { route, hops } of aliases) {
          const list = fib.hopLists[hops];
          expect(list.map(({ hop }) => hop)).toEqual(route.nexthops);
          expect(list.map(({ upperBound }) => upperBound)).toEqual(fib_rebalance(route.nexthops));
        }
    });
  });

  test("bounds, IPv6: routes of one prefix and metric share the hashes among their gateways", () => {
    everyFib((fib) => {
      for (const { aliases } of isIpv4(fib) ? [] : fib.entries)
        for (const metric of new Set(aliases.map(({ route }) => route.metric))) {
          const group = aliases.filter(({ route }) => route.metric === metric);
          const siblings = group.flatMap(({ hops }) => fib.hopLists[hops]).filter(({ hop }) => hop.gateway !== null);
          const bounds = fib_rebalance(siblings.map(({ hop }) => hop));
          expect(siblings.map(({ upperBound }) => upperBound)).toEqual(bounds);
        }
    });
  });

  test("a device's own choice of source is inet_select_addr's", () => {
    fc.assert(
      fc.property(anyModel(), fc.constantFrom(0, 200, 253, 254), ({ nets: [net], kernel }, scope) => {
        const namespace = new NetNamespace(net, kernel);
        for (const device of net.devices)
          expect(inetSelectAddr(net, device, scope as 0)).toBe(inet_select_addr(namespace, device, 0, scope));
      }),
      { numRuns: 60 },
    );
  });
});
