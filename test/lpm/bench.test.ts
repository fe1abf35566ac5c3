/** What the benchmarks stand on: tables that a seed determines, a reference that is right, wrong answers found. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnsOf } from "../../runtime/lpm/columns.ts";
import type { Family } from "../../runtime/net/ip.ts";
import { network, writeIpv6 } from "../../runtime/net/ip.ts";
import { generateAddresses, generateTable, prefixAt, STREAMS } from "../bench/generate.ts";
import { measure, verify, WrongAnswer } from "../bench/harness.ts";
import { addressReader, referenceAnswers } from "../bench/reference.ts";
import { RoutesError, readRoutes } from "../bench/routes.ts";
import { edges, longestMatch, table } from "./tables.ts";

const FAMILIES: readonly Family[] = [4, 6];

describe.each(FAMILIES)("generated tables, IPv%i", (family) => {
  const generate = (seed: number) => generateTable({ family, prefixes: 2000, nextHops: 16, seed });

  test("the seed determines them", () => {
    expect(generate(7)).toEqual(generate(7));
    expect(generate(7)).not.toEqual(generate(8));
  });

  test("as many different prefixes as asked, without host bits, half of them nested", () => {
    const columns = generate(1);
    const prefixes = Array.from({ length: 2000 }, (_, i) => prefixAt(columns, i));
    expect(new Set(prefixes.map(({ address, length }) => `${address}/${length}`)).size).toBe(2000);
    for (const { address, length } of prefixes) expect(network(address, length)).toBe(address);
    const nested = prefixes.filter((inner) =>
      prefixes.some((outer) => outer.length < inner.length && network(inner.address, outer.length) === outer.address),
    );
    expect(nested.length / 2000).toBeGreaterThan(0.25);
    expect(nested.length / 2000).toBeLessThan(0.75);
  });

  test.each(STREAMS)("%s addresses are the seed's, and inside the table where they should be", (stream) => {
    const columns = generate(3);
    const addresses = generateAddresses(columns, stream, 256, 5);
    expect(generateAddresses(columns, stream, 256, 5)).toEqual(addresses);
    const answers = referenceAnswers(columns, addresses);
    if (stream !== "uniform") expect(answers.every((value) => value > 0)).toBe(true);
  });

  test("the reference is the definition", () => {
    fc.assert(
      fc.property(table(family), (entries) => {
        const ips = edges(family, entries);
        const bytes = new Uint8Array(ips.length * (family === 4 ? 4 : 16));
        ips.forEach((ip, i) => {
          if (typeof ip === "bigint") writeIpv6(bytes, 16 * i, ip);
          else new DataView(bytes.buffer).setUint32(4 * i, ip, true);
        });
        const columns = columnsOf(family, entries);
        const read = addressReader(columns, bytes);
        expect(ips.map((_, i) => read(i))).toEqual(ips);
        expect([...referenceAnswers(columns, bytes)]).toEqual(ips.map((ip) => longestMatch(entries, ip)));
      }),
    );
  });
});

describe("measuring", () => {
  test("a wrong answer is found and named", () => {
    expect(() => verify("x", [1, 2], [1, 2])).not.toThrow();
    expect(() => verify("x", [1, 3], [1, 2])).toThrow(new WrongAnswer("x: address 1: 3, not 2"));
  });

  test("every variant runs as often as the others, and ratios are to the baseline", async () => {
    const busy = (turns: number) => () => {
      let x = 1;
      for (let i = 0; i < turns; i++) x = Math.imul(x, 3) ^ i;
      return x;
    };
    const variants = [
      { name: "slow", operations: 1, run: busy(3_000_000) },
      { name: "fast", operations: 1, run: busy(30_000) },
    ];
    const [slow, fast] = await measure(variants, { rounds: 3, baseline: "slow" });
    expect(slow.ratio).toBe(1);
    expect(fast.ratio).toBeGreaterThan(2);
    expect(slow.ns.min).toBeLessThanOrEqual(slow.ns.median);
    expect(slow.ns.median).toBeLessThanOrEqual(slow.ns.max);
    expect(slow.millionPerSecond).toBeCloseTo(1000 / slow.ns.median);
  });
});

describe("files of routes", () => {
  const file = (content: string | Uint8Array): string => {
    const path = join(mkdtempSync(join(tmpdir(), "vrfc-routes-")), "routes");
    writeFileSync(path, content);
    return path;
  };
  const text = "# two families\n10.0.0.0/8 1\n\n2001:db8::/32 2 # documentation\n10.0.0.0/8 3\n";

  test("text and gzip, one family at a time, the last of equals", () => {
    for (const path of [file(text), file(gzipSync(text))]) {
      expect(readRoutes(path, 4)).toEqual(columnsOf(4, [{ address: 0x0a000000, length: 8, value: 3 }]));
      expect(readRoutes(path, 6)).toEqual(columnsOf(6, [{ address: 0x20010db8n << 96n, length: 32, value: 2 }]));
    }
  });

  test.each([
    "10.0.0.0/8",
    "10.0.0.1/8 1",
    "10.0.0.0/33 1",
    "10.0.0.0/8 0",
    "10.0.0.0/8 1 2",
    "x 1",
    "10.0.0.0/8/9 1",
    "/8 1",
  ])("refused with its line: %s", (line) => {
    expect(() => readRoutes(file(`1.0.0.0/8 1\n${line}\n`), 4)).toThrow(RoutesError);
    expect(() => readRoutes(file(`1.0.0.0/8 1\n${line}\n`), 4)).toThrow(/:2: /);
  });
});
