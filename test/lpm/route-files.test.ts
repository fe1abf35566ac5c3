/** Files of routes: the fast reader of text against its slow twin, and MRT dumps. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatPrefix } from "../../runtime/net/ip.ts";
import { readRouteFile } from "../../src/cli/route-file.ts";
import { MrtError, type MrtRoute, readMrt } from "../../src/import/mrt.ts";
import { prefixAt } from "../bench/generate.ts";
import { parseRoute, readRouteText } from "../bench/route-text.ts";
import { RoutesError, readRoutes } from "../bench/routes.ts";
import { table } from "./tables.ts";

const folder = mkdtempSync(join(tmpdir(), "vrfc-routes-"));
const fileOf = (name: string, bytes: Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
};

describe("text", () => {
  const line = fc.oneof(table(4, 4), table(6, 4)).map((entries) => {
    const [entry] = entries;
    return entry === undefined ? "" : `${formatPrefix(entry)} ${entry.value}`;
  });
  /** A line with a character put in, taken out or exchanged. */
  const damaged = fc
    .tuple(line, fc.nat(60), fc.nat(1), fc.constantFrom(..."0123456789abcdefF:./ #\t-x", "::", ""))
    .map(([text, at, taken, put]) => text.slice(0, at) + put + text.slice(at + taken));

  test.each([4, 6] as const)(
    "IPv%i: what the slow twin reads, and what it refuses with the number of the line",
    (family) => {
      const property = fc.property(
        fc.array(fc.oneof(line, damaged), { maxLength: 12 }),
        fc.boolean(),
        (lines, ends) => {
          const refused: number[] = [];
          const expected: string[] = [];
          lines.forEach((text, i) => {
            const content = text.replace(/#.*/, "").trim();
            const entry = content === "" ? undefined : parseRoute(content);
            if (entry === null) refused.push(i + 1);
            if (entry && (typeof entry.address === "number") === (family === 4))
              expected.push(`${formatPrefix(entry)} ${entry.value}`);
          });
          const wrong: number[] = [];
          const bytes = new TextEncoder().encode(lines.join("\n") + (ends ? "\n" : ""));
          const columns = readRouteText(bytes, family, (number) => wrong.push(number));
          const found = Array.from(columns.values, (value, i) => `${formatPrefix(prefixAt(columns, i))} ${value}`);
          expect([found, wrong]).toEqual([expected, refused]);
        },
      );
      fc.assert(property, { numRuns: 500 });
    },
  );

  test("the first wrong line ends the reading of a file", () => {
    const path = fileOf("wrong", new TextEncoder().encode("10.0.0.0/8 1\n# none\n10.0.0.1/8 2\n"));
    expect(() => readRoutes(path, 4)).toThrow(new RoutesError(`${path}:3: not a prefix and a number: 10.0.0.1/8 2`));
  });
});

// ---- MRT

const u16 = (n: number): number[] => [n >> 8, n & 255];
const u32 = (n: number): number[] => [...u16(n >>> 16), ...u16(n & 0xffff)];
const record = (subtype: number, body: readonly number[]): number[] => [
  ...[...u32(0x5f000000), ...u16(13), ...u16(subtype), ...u32(body.length)],
  ...body,
];
const rib = (prefix: readonly number[], entries: readonly (readonly number[])[], path: readonly number[] = []) => [
  ...[...u32(0), ...prefix, ...u16(entries.length)],
  ...entries.flatMap((attributes) => [...u16(0), ...u32(0), ...path, ...u16(attributes.length), ...attributes]),
];
const ORIGIN = [0x40, 1, 1, 0];
const hop4 = (last: number): number[] => [0x40, 3, 4, 192, 0, 2, last];
const hop6 = [0x90, 14, 0, 17, 16, 0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 7];

const DUMP = Uint8Array.from([
  ...record(1, [1, 2, 3]), // the peers: not of interest
  ...record(2, rib([8, 10], [[...ORIGIN, ...hop4(1)], hop4(9)])),
  ...record(2, rib([12, 172, 31], [hop4(2)])), // host bits behind the prefix
  ...record(4, rib([32, 0x20, 1, 0xd, 0xb8], [hop6])),
  ...record(8, rib([24, 192, 0, 2], [hop4(1)], u32(5))),
  ...record(2, rib([16, 10, 1], [ORIGIN])), // no next hop
]);

describe("MRT", () => {
  const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  const LINES = [
    "10.0.0.0/8 via 192.0.2.1",
    "172.16.0.0/12 via 192.0.2.2",
    "2001:db8::/32 via 2001:db8::7",
    "192.0.2.0/24 via 192.0.2.1",
  ];

  test("is text to `routes from`, gzip or not", () => {
    expect(textOf(readRouteFile(fileOf("dump", DUMP))).split("\n")).toEqual(LINES);
    expect(textOf(readRouteFile(fileOf("dump.gz", gzipSync(DUMP)))).split("\n")).toEqual(LINES);
  });

  test("is a table to benchmarks: next hops by number", () => {
    const columns = readRoutes(fileOf("dump", DUMP), 4);
    const found = Array.from(columns.values, (value, i) => `${formatPrefix(prefixAt(columns, i))} ${value}`);
    expect(found).toEqual(["10.0.0.0/8 1", "172.16.0.0/12 2", "192.0.2.0/24 1"]);
  });

  test("an end anywhere but behind a record is an error, and nothing else is", () => {
    const routes: MrtRoute[] = [];
    const ends = new Set<number>();
    for (let at = 0; at < DUMP.length; at += 12 + new DataView(DUMP.buffer).getUint32(at + 8)) ends.add(at);
    for (let end = 1; end < DUMP.length; end++) {
      const read = () => readMrt(DUMP.subarray(0, end), (route) => routes.push(route));
      if (ends.has(end)) read();
      else expect(read).toThrow(MrtError);
    }
  });

  test("lengths inside a record that lie are errors", () => {
    for (const body of [rib([33, 10, 0, 0, 0, 0], []), rib([8, 10], [[0x40, 3, 40]]), [0, 0, 0, 0, 8]])
      expect(() => readMrt(Uint8Array.from(record(2, body)), () => {})).toThrow(/^the record at byte 0: /);
  });
});
