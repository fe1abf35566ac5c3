/** The filter never says no of a source that a table has a local, broadcast or other such route for, and seldom maybe of another. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { buildFib } from "../../src/fib/build.ts";
import { filterCell, sourceFilter } from "../../src/source-filter.ts";

const maybe = (cells: Uint8Array, address: number): boolean => cells[filterCell(address, cells.length)] === 1;

const cellsOf = (text: string): Uint8Array | null => {
  const { model } = checkText(text);
  return sourceFilter(buildFib(model!));
};

describe("the source filter", () => {
  test("knows each address of a route that is no host's", () => {
    const own = ["10.0.0.1", "10.0.0.255", "10.7.0.1", "192.0.2.9"];
    const cells = cellsOf(`interface a { address 10.0.0.1/24 }
      vrf red { table 10 }
      interface b { master red; address 10.7.0.1/16 }
      table 10 { route local 192.0.2.9/32 dev b
        route unreachable 192.0.2.10/32 }`)!;
    for (const address of own) expect(maybe(cells, parseIp(address) as number), address).toBe(true);
    expect(cells.reduce((sum, cell) => sum + cell)).toBeGreaterThanOrEqual(own.length);
    expect(maybe(cells, parseIp("192.0.2.10") as number)).toBe(false);
  });

  test("takes one address in twenty for another, at the most", () => {
    const devices = Array.from({ length: 40 }, (_, i) => `interface d${i} { address 10.0.${i}.1/24 }`);
    const cells = cellsOf(devices.join("\n"))!;
    const hosts = Array.from({ length: 40 * 200 }, (_, i) => 0x0a000000 + ((i % 40) << 8) + 2 + Math.floor(i / 40));
    expect(hosts.filter((host) => maybe(cells, host)).length).toBeLessThan(hosts.length / 20);
  });

  test.each([
    ["a network of local addresses", "table 255 { route local 10.9.0.0/16 dev lo }", true],
    ["all of 127/8 alone, which no packet comes from", "", false],
  ])("is not to be had with %s? (%s)", (_, more, none) => {
    expect(cellsOf(`interface a { address 10.0.0.1/24 }\n${more}`) === null).toBe(none);
  });
});
