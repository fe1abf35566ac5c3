/** Set-ups that a real kernel accepted, command by command: nothing of them may be refused or left out. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { check } from "../../dsl/check.ts";
import { parse } from "../../dsl/parse.ts";
import { print } from "../../dsl/print.ts";
import { importForReplay } from "../../src/import/replay.ts";
import { meaning } from "./helpers.ts";

interface Recorded {
  readonly name: string;
  readonly setup: readonly string[];
  readonly pings: readonly string[];
}
const recorded = JSON.parse(
  gunzipSync(readFileSync(new URL("recorded-setups.json.gz", import.meta.url))).toString(),
) as readonly Recorded[];

describe.each(recorded)("$name", ({ setup, pings }) => {
  const replay = importForReplay(setup, pings);

  it("accepts every command", () => {
    expect(replay.leftOut).toEqual([]);
    expect(replay.pings).toEqual(pings.map((_, test) => ({ test })));
  });

  it("is the same network after printing and parsing", () => {
    const direct = check(replay.ast, replay.source);
    expect(direct.diagnostics.filter((d) => d.severity === "error")).toEqual([]);
    const text = print(replay.ast);
    const again = parse({ name: "printed", text });
    expect(again.diagnostics).toEqual([]);
    const model = check(again.ast, { name: "printed", text }).model;
    expect(direct.model && meaning(direct.model)).toEqual(model && meaning(model));
    expect(print(again.ast)).toBe(text);
  });
});

it("names what it does not know", () => {
  const { leftOut, pings } = importForReplay(
    ["ip link add d0 type dummy", "ip link add br0 type bridge", "ip link set d9 up"],
    ["ping nowhere.example", "ping -c1 127.0.0.1"],
  );
  expect(leftOut).toEqual([
    { command: "ip link add br0 type bridge", why: "not imported: devices of type `bridge` are not in vrfc" },
    { command: "ip link set d9 up", why: 'Cannot find device "d9"' },
  ]);
  expect(pings).toEqual([{ unsupported: expect.stringContaining("vrfc has no resolver") }, { test: 0 }]);
});
