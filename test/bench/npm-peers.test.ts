/** Packages of npm as peers: Node's own, which is always there, and what is said of those that are not. */
import { expect, test } from "vitest";
import { generateAddresses, generateTable } from "./generate.ts";
import { buildNpmPeers, sliceOf } from "./npm-peers.ts";
import { referenceAnswers } from "./reference.ts";

test.each([4, 6] as const)("IPv%i: a package's answers are compared before it is timed", async (family) => {
  const table = generateTable({ family, prefixes: 100, nextHops: 3, seed: 1 });
  const addresses = generateAddresses(table, "in-prefix", 256, 1);
  const answers = referenceAnswers(table, addresses);
  const [list] = (await buildNpmPeers(table, true, new Set(), () => {})).filter(({ name }) =>
    name.startsWith("net.BlockList"),
  );
  expect(await (await list.racer(addresses, answers)).sample()).toBeGreaterThan(0);
  await expect(
    list.racer(
      addresses,
      answers.map(() => 0),
    ),
  ).rejects.toThrow("net.BlockList (a set): address 0: 1, not 0");
});

test("each package is there, or named with what to install", async () => {
  const notes = new Set<string>();
  const table = generateTable({ family: 4, prefixes: 10, nextHops: 3, seed: 1 });
  const built = [
    ...(await buildNpmPeers(table, false, notes, () => {})),
    ...(await buildNpmPeers(table, true, notes, () => {})),
  ];
  const all = [...built.map(({ name }) => name.split(" ")[0]), ...[...notes].map((note) => note.split(":")[0])];
  expect(all.sort()).toEqual(
    ["cidr-matcher", "ip-set", "ipaddr.js", "longest-prefix-match", "mmdb-lib", "net.BlockList"].sort(),
  );
  for (const note of notes) expect(note).toMatch(/^(.+): npm install --no-save --ignore-scripts \1@[\d.]+$/);
});

test("a slice is of the whole table, and of the table's name", () => {
  const columns = generateTable({ family: 6, prefixes: 3000, nextHops: 3, seed: 1 });
  const slice = sliceOf({ name: "a table", columns });
  expect(slice.name).toBe("1000 of a table");
  expect(slice.columns.lengths).toHaveLength(1000);
  expect(slice.columns.words.slice(4, 8)).toEqual(columns.words.slice(12, 16));
  expect(slice.columns.lengths[999]).toBe(columns.lengths[2997]);
});
