/** The README's example of attaching programs does what it says. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { load, loadProgram } from "../../runtime/index.ts";
import { compile } from "../../src/compile.ts";
import { checkText, compileProgram } from "../../src/index.ts";

const ROUTER = `
  sysctl net.ipv4.ip_forward = 1
  interface in { address 10.0.0.1/24 }
  interface out { address 10.0.1.1/24 }`;

test("README: attach programs while packets flow", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const section = readme.split("## Attach programs while packets flow")[1].split("\n## ")[0];
  const code = [...section.matchAll(/```js\n(.*?)```/gs)]
    .map(([, block]) => block.replace(/^import .*$/gm, ""))
    .join("");
  const readFile = async (name: string): Promise<unknown> =>
    name.endsWith(".vrf") ? ROUTER : (await compile({ name, text: ROUTER }, { level: 0 })).artifact;
  const said: unknown[] = [];
  const names = ["checkText", "compileProgram", "load", "loadProgram", "readFile", "console"];
  const run = new Function(...names, `return (async () => {${code}; return { dataplane, link };})()`);
  const { dataplane, link } = await run(checkText, compileProgram, load, loadProgram, readFile, {
    log: (word: unknown) => said.push(word),
  });
  expect(said).toEqual([[{ packets: 0n, bytes: 0n }]]);
  expect(link.attached).toBe(false);
  expect(dataplane.links("host").list()).toEqual([]);
});
