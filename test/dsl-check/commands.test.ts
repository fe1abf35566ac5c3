/**
 * Single commands as a real kernel (6.1.192, iproute2 6.1) answered them: recorded/commands.json holds each as vrfc text, and
 * what Linux said to the same (null: nothing, it was accepted). The checker refuses what Linux refuses, with Linux' words
 * beside its own, and nothing else.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { findingsOf } from "./policy.ts";

interface Command {
  readonly policy: string;
  readonly linux: string | null;
}

const COMMANDS: Command[] = JSON.parse(readFileSync(new URL("recorded/commands.json", import.meta.url), "utf8"));

/** Three dummies: one in a VRF, one outside, one down. */
const NETWORK = `vrf red { table 10 }
vrf blue { table 20 }
interface da { type dummy; master red; address 10.0.0.1/24; address 2001:db8:1::1/64 }
interface db { type dummy; address 10.1.0.1/24; address 2001:db8:2::1/64 }
interface dc { type dummy; address 10.2.0.1/24; address 2001:db8:3::1/64; down }
`;

/** What the parser refuses already, without asking what Linux would say. */
const isSyntax = (code: string): boolean => code.startsWith("E01");

test.each(COMMANDS)("$policy -> $linux", ({ policy, linux }) => {
  const errors = findingsOf(`${NETWORK}${policy}\n`).diagnostics.filter((d) => d.severity === "error");
  const answers = errors.map((d) => (isSyntax(d.code) ? linux : d.kernel));
  expect(answers).toEqual(linux === null ? [] : [linux]);
});
