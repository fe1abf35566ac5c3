/**
 * A dump of a live machine: what `ip -j` prints, each section as the tool prints it.
 *
 *   dump      = { section }  |  { NAMESPACE: { section } }          "." is the root namespace
 *   section   = link      ip -j -d link show                   rule, rule6      ip -j -4 rule, ip -j -6 rule
 *             | addr      ip -j addr show                      route, route6    ip -j -d -4 route show table all, … -6 …
 *             | nexthop   ip -j nexthop show                   sysctl           sysctl net (text, or { KEY: VALUE })
 *             | neigh     ip -j neigh show
 *
 * Nothing of it is trusted: an entry that is no object is a fault, a member of another type than expected counts as absent.
 */

/** One entry of a section: a device, an address list, a rule, a route, … */
export type Entry = Readonly<Record<string, unknown>>;

export const LISTS = ["link", "addr", "rule", "rule6", "route", "route6", "nexthop", "neigh"] as const;
export type ListName = (typeof LISTS)[number];

export type NamespaceDump = Readonly<Partial<Record<ListName, readonly Entry[]>>> & {
  readonly sysctl?: ReadonlyMap<string, string>;
};

/** By name; "." is the root namespace. */
export type Dump = ReadonlyMap<string, NamespaceDump>;

const isEntry = (value: unknown): value is Entry =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isSection = (key: string): boolean => key === "sysctl" || LISTS.some((name) => name === key);

/** Reads parsed JSON as a dump, or says what is wrong with it. */
export function readDump(value: unknown): Dump | string {
  if (!isEntry(value)) return "expected an object with the sections of a dump (link, addr, rule, route, …)";
  const isOne = Object.entries(value).some(
    ([key, section]) => isSection(key) && (key === "sysctl" || Array.isArray(section)),
  );
  return readNamespaces(isOne ? { ".": value } : value);
}

function readNamespaces(value: Entry): Dump | string {
  const dump = new Map<string, NamespaceDump>();
  for (const [name, sections] of Object.entries(value)) {
    const read = isEntry(sections) ? readNamespace(sections) : "expected an object with the sections of a dump";
    if (typeof read === "string") return `${name}: ${read}`;
    dump.set(name, read);
  }
  return [...dump.values()].some((ns) => ns.link !== undefined) ? dump : "there is no `link` section in it";
}

function readNamespace(sections: Entry): NamespaceDump | string {
  const lists: Partial<Record<ListName, readonly Entry[]>> = {};
  for (const name of LISTS) {
    const list = sections[name];
    if (list === undefined) continue;
    if (!Array.isArray(list) || !list.every(isEntry))
      return `${name}: expected a list of objects, as \`ip -j\` prints it`;
    // iproute2 prints `{}` for what a filter has suppressed.
    lists[name] = list.filter((entry) => Object.keys(entry).length > 0);
  }
  const { sysctl } = sections;
  if (sysctl === undefined) return lists;
  const settings = readSysctls(sysctl);
  return settings === null
    ? "sysctl: expected the text that `sysctl` prints, or an object"
    : { ...lists, sysctl: settings };
}

/** `net.ipv4.ip_forward = 1`, a line each. */
function readSysctls(value: unknown): ReadonlyMap<string, string> | null {
  if (typeof value === "string")
    return new Map([...value.matchAll(/^\s*([\w./:-]+)\s*=\s*(.*?)\s*$/gm)].map(([, key, setting]) => [key, setting]));
  if (!isEntry(value)) return null;
  return new Map(Object.entries(value).map(([key, setting]) => [key, `${setting}`]));
}

// ---- members --------------------------------------------------------------------------------------------------------

export const textOf = (entry: Entry, key: string): string | undefined =>
  typeof entry[key] === "string" ? entry[key] : undefined;

export const numberOf = (entry: Entry, key: string): number | undefined =>
  typeof entry[key] === "number" ? entry[key] : undefined;

/** What iproute2 prints as a number or, where a file of names has one, as a name. */
export const nameOf = (entry: Entry, key: string): string | undefined =>
  numberOf(entry, key)?.toString() ?? textOf(entry, key);

export const listOf = (entry: Entry, key: string): readonly Entry[] => {
  const list = entry[key];
  return Array.isArray(list) ? list.filter(isEntry) : [];
};

export const entryOf = (entry: Entry, key: string): Entry => {
  const value = entry[key];
  return isEntry(value) ? value : {};
};

/** `"flags": ["onlink", "linkdown"]` */
export const hasFlag = (entry: Entry, flag: string): boolean => {
  const { flags } = entry;
  return Array.isArray(flags) && flags.includes(flag);
};
