/** `vrfc import SCRIPT`, `vrfc import nft RULES`, `vrfc import nft-json RULES` and `vrfc import ip-json DUMP...` */

import { diagnosticsToJson, print, renderDiagnostics } from "../../../dsl/index.ts";
import type { Source } from "../../../dsl/span.ts";
import { importScript } from "../../import/import.ts";
import { readDump } from "../../import/ip-json/form.ts";
import { importDump } from "../../import/ip-json/import.ts";
import { admit, type Imported } from "../../import/nft/admit.ts";
import { importNft } from "../../import/nft/import.ts";
import { importNftJson, isNftJson, parseNftJson } from "../../import/nft/json.ts";
import { painter } from "../colour.ts";
import { readDumpFiles } from "../dump-files.ts";
import { EXIT, readSource, UsageError, writeOutput } from "../io.ts";
import { colourOption } from "../policy.ts";

export interface ImportOptions {
  readonly output: string;
  readonly assumeForwarding: boolean;
  readonly json?: boolean;
  readonly color?: string;
}

/** The policy goes to the output, what could not be expressed to standard error. */
export function run(what: string, files: readonly string[], options: ImportOptions): number {
  const { source, ast, diagnostics } = imported(what, files, options);
  const policy = print(ast);
  if (options.json) {
    console.log(
      JSON.stringify({ ...diagnosticsToJson([{ source, diagnostics }]), schema: "vrfc.import/1", policy }, null, 2),
    );
    if (options.output !== "-") writeOutput(options.output, policy);
  } else {
    writeOutput(options.output, policy);
    process.stderr.write(
      renderDiagnostics(source, diagnostics, { color: painter(colourOption(options.color), process.stderr).enabled }),
    );
  }
  return diagnostics.some((d) => d.severity !== "note") ? EXIT.FINDINGS : EXIT.OK;
}

/** By the word that says the form, or by what the file looks like. */
function imported(what: string, files: readonly string[], options: ImportOptions): Imported {
  switch (what) {
    case "ip-json":
      return ipJson(files, options);
    case "nft":
      return nft(theOne(files));
    case "nft-json":
      return nftJson(theOne(files));
    default:
      return script(theOne([what, ...files]), options);
  }
}

/** A rule set, as text or as JSON, is known by its first words. */
function script(source: Source, { assumeForwarding }: ImportOptions): Imported {
  if (looksLikeNft(source.text)) return nft(source);
  if (/^\s*\{/.test(source.text) && isNftJson(parsed(source.text))) return nftJson(source);
  return { source, ...importScript(source, { assumeForwarding }) };
}

const NFT_SHEBANG = /^#!.*\bnft\b/;
const NFT_BEGINS = /^(flush ruleset|(add )?table (ip|ip6|inet|netdev|arp|bridge)? ?[\w"]+|define \w+ =)/;

function looksLikeNft(text: string): boolean {
  if (NFT_SHEBANG.test(text)) return true;
  const first = text.split("\n").find((line) => /^\s*[^#\s]/.test(line));
  return first !== undefined && NFT_BEGINS.test(first.trim().replace(/\s+/g, " "));
}

const nft = (source: Source): Imported => admit({ source, ...importNft(source) });

function nftJson({ name, text }: Source): Imported {
  const value = parsed(text);
  if (!isNftJson(value)) throw new UsageError(`${name}: not what \`nft -j list ruleset\` prints: expected "nftables"`);
  return admit(importNftJson(value, name));
}

function parsed(text: string): unknown {
  try {
    return parseNftJson(text);
  } catch {
    return undefined;
  }
}

function theOne([path, ...more]: readonly string[]): Source {
  if (path === undefined) throw new UsageError("no file given (`-` is standard input)");
  if (more.length > 0) throw new UsageError(`one file at a time; what is \`${more[0]}\`?`);
  return readSource(path);
}

function ipJson(paths: readonly string[], { assumeForwarding }: ImportOptions): Imported {
  const dump = readDump(readDumpFiles(paths));
  if (typeof dump === "string") throw new UsageError(`${paths.join(" ")}: ${dump}`);
  return importDump(dump, paths[0], { assumeForwarding });
}
