/**
 * The files of a dump for `vrfc import ip-json`.
 *
 *   FILE.json       { "link": [...], "addr": [...], ... }, or { ".": {...}, NAMESPACE: {...} }
 *   SECTION.json    link, addr, rule, rule6, route, route6, nexthop, neigh: what `ip -j` printed
 *   sysctl.txt      what `sysctl net` printed
 *   DIR             such files; a directory in it is the namespace of its name
 */
import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { LISTS } from "../import/ip-json/form.ts";
import { readBytes, readSource, UsageError } from "./io.ts";

/** The shell lines that make a dump, for --help. */
export const DUMP_COMMANDS = `  mkdir dump && cd dump
  ip -j -d link show > link.json
  ip -j addr show > addr.json
  ip -N -j -4 rule show > rule.json;  ip -N -j -d -4 route show table all > route.json
  ip -N -j -6 rule show > rule6.json; ip -N -j -d -6 route show table all > route6.json
  ip -j nexthop show > nexthop.json
  ip -j neigh show > neigh.json
  sysctl net > sysctl.txt 2>&1
  (of a namespace, in a directory of its name inside: the same behind \`ip netns exec NAME\`)`;

type Sections = Record<string, unknown>;

/** What is at the paths, as one object to be read as a dump. */
export function readDumpFiles(paths: readonly string[]): unknown {
  if (paths.length === 0) throw new UsageError("no dump given: a directory or files (`vrfc import --help`)");
  // A namespace may be called `constructor`.
  const namespaces: Record<string, Sections> = Object.create(null);
  for (const path of paths) {
    if (path !== "-" && isDirectory(path)) readDirectory(path, namespaces);
    else {
      const section = sectionOf(path);
      if (section === null) mergeInto(namespaces, path, readJson(path));
      else sectionsIn(namespaces, ".")[section] = readSection(path, section);
    }
  }
  return namespaces;
}

function readDirectory(path: string, namespaces: Record<string, Sections>): void {
  for (const name of readdirSync(path).sort()) {
    const inside = join(path, name);
    if (!isDirectory(inside)) readSections(inside, sectionsIn(namespaces, "."));
    else for (const file of readdirSync(inside).sort()) readSections(join(inside, file), sectionsIn(namespaces, name));
  }
}

/** Other files beside those of a dump are left alone. */
function readSections(path: string, sections: Sections): void {
  const section = sectionOf(path);
  if (section !== null) sections[section] = readSection(path, section);
}

const sectionsIn = (namespaces: Record<string, Sections>, name: string): Sections => (namespaces[name] ??= {});

function sectionOf(path: string): string | null {
  const name = basename(path);
  if (/^sysctl(\.(txt|conf|json))?$/.test(name)) return "sysctl";
  return LISTS.find((section) => name === `${section}.json`) ?? null;
}

function readSection(path: string, section: string): unknown {
  if (section === "sysctl" && !path.endsWith(".json")) return readSource(path).text;
  return readJson(path);
}

/** A whole dump in one file. */
function mergeInto(namespaces: Record<string, Sections>, path: string, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new UsageError(
      `${path}: expected an object with the sections of a dump, or a file named after one (link.json)`,
    );
  const isOne = ["sysctl", ...LISTS].some((section) => Object.hasOwn(value, section));
  for (const [name, sections] of Object.entries(isOne ? { ".": value } : value))
    namespaces[name] = { ...namespaces[name], ...(sections as Sections) };
}

/** iproute2 prints nothing where there is nothing. */
function readJson(path: string): unknown {
  const text = new TextDecoder().decode(readBytes(path));
  if (text.trim() === "") return [];
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: not JSON: ${(error as Error).message}`);
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
