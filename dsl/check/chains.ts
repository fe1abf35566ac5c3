/**
 * Chains, programs, sets and maps of a namespace: from what the text says to `Netfilter` (dsl/chain-model.ts).
 *
 *   tables     what stands in `table FAMILY NAME`, by table; what stands outside, as one table per family that is needed
 *   names      chains, sets, counters and limits of each table, so that rules may name what comes below them
 *   graph      jumps: loops, depth, and which hooks each chain can be reached from
 *   elements   of sets and maps, whose verdicts lead to chains
 *   rules      clause by clause
 *   hooks      base chains in the order in which packets meet them
 */
import type { Hook } from "../../runtime/hooks.ts";
import type { Item } from "../ast.ts";
import type * as Nft from "../chain-ast.ts";
import {
  type BaseChain,
  type Chain,
  chainId,
  EMPTY_NETFILTER,
  type HookChains,
  type Netfilter,
  TABLE_FAMILIES,
  type TableFamily,
} from "../chain-model.ts";
import { baseChain } from "./chains/base.ts";
import { type ChainGraph, chainGraph, checkJumps, programNode, reached } from "./chains/graph.ts";
import { lintChains } from "./chains/lints.ts";
import { addProgram, programHook } from "./chains/programs.ts";
import { filterRule } from "./chains/rules.ts";
import { checkName, type FilterDraft, newScope, programOf, type RuleScope, type TableScope } from "./chains/scope.ts";
import { declareSet, fillSet } from "./chains/sets.ts";
import { newCounter, newLimit } from "./chains/stateful.ts";
import type { Mutable, NetDraft } from "./draft.ts";
import type { Reporter } from "./report.ts";

export function checkChains(net: NetDraft, items: readonly Item[], report: Reporter): Netfilter {
  const found = items.filter(isFilterItem);
  if (found.length === 0) return EMPTY_NETFILTER;
  const draft: FilterDraft = { net, report, tables: [], chains: [], sets: [], counters: [], limits: [], programs: [] };
  for (const table of tablesOf(found, report)) checkTable(draft, table);
  const { tables, chains, sets, counters, limits, programs } = draft;
  return { tables, chains, sets, counters, limits, programs, hooks: hooksOf(draft) };
}

const FILTER_KINDS: readonly string[] = ["filter table", "chain", "set", "map", "counter", "limit", "program"];
const isFilterItem = (item: Item): item is Nft.FilterItem => FILTER_KINDS.includes(item.kind);

const isSet = (item: Nft.TableItem): item is Nft.SetDecl => item.kind === "set" || item.kind === "map";

// Tables.

/** A table with all that the text says of it, in one place or several. */
interface TableText {
  /** Null: outside of any table. */
  readonly name: string | null;
  /** Sets, maps, counters and limits. */
  readonly items: readonly Nft.TableItem[];
  /** One, but outside of tables. */
  readonly parts: readonly TablePart[];
}

/** The chains of a family. */
interface TablePart {
  readonly family: TableFamily;
  readonly chains: readonly Nft.Chain[];
  readonly programs: readonly Nft.Program[];
}

const isChain = (item: Nft.FilterItem): item is Nft.Chain => item.kind === "chain";

function tablesOf(items: readonly Nft.FilterItem[], report: Reporter): TableText[] {
  const tables: { readonly family: TableFamily; readonly name: string; readonly items: Nft.TableItem[] }[] = [];
  for (const item of items) {
    if (item.kind !== "filter table") continue;
    const family = TABLE_FAMILIES.find((one) => one === item.family.value);
    if (family === undefined) {
      report.error("E0414", item.family.span, `family \`${item.family.value}\` is not supported`, {
        label: TABLE_FAMILIES.join(", "),
      });
      continue;
    }
    let table = tables.find((one) => one.family === family && one.name === item.name.value);
    if (table === undefined) {
      checkName({ report }, "table", item.name);
      table = { family, name: item.name.value, items: [] };
      tables.push(table);
    }
    table.items.push(...item.items);
  }
  const named = tables.map(({ family, name, items }) => ({
    name,
    items: items.filter((item) => !isChain(item)),
    parts: [{ family, chains: items.filter(isChain), programs: [] }],
  }));
  const outside = items.filter((item) => item.kind !== "filter table");
  return outside.length === 0 ? named : [...named, outsideTable(outside)];
}

/**
 * Chains outside of tables see both IP families, or the frames of a device: those of devices, and what only they and programs
 * lead to, are a part of their own. Sets, maps, counters and limits are there once, for both.
 */
function outsideTable(items: readonly (Nft.TableItem | Nft.Program)[]): TableText {
  const chains = items.filter(isChain);
  const programs = items.filter((item) => item.kind === "program");
  const others = items.filter((item) => item.kind !== "chain" && item.kind !== "program");
  const sets = others.filter(isSet);
  const graph = chainGraph(chains, sets, programs);
  const ofDevice = chains.filter((chain) => chain.base !== undefined && DEVICE_HOOKS.has(chain.base.hook.value));
  const led = leadsTo(graph, [...ofDevice.map((chain) => chain.name.value), ...programs.map(programNode)]);
  const netdev = chains.filter(
    (chain) => ofDevice.includes(chain) || (chain.base === undefined && led.has(chain.name.value)),
  );
  const inet = chains.filter((chain) => !netdev.includes(chain));
  const parts: TablePart[] = [];
  if (inet.length > 0 || netdev.length + programs.length === 0)
    parts.push({ family: "inet", chains: inet, programs: [] });
  if (netdev.length + programs.length > 0) parts.push({ family: "netdev", chains: netdev, programs });
  return { name: null, items: others, parts };
}

const DEVICE_HOOKS: ReadonlySet<string> = new Set(["ingress", "egress"]);

function leadsTo({ targets }: ChainGraph, starts: readonly string[]): ReadonlySet<string> {
  const found = new Set(starts);
  for (const chain of found) for (const target of targets.get(chain) ?? []) found.add(target.value);
  return found;
}

function checkTable(draft: FilterDraft, { name, items, parts }: TableText): void {
  const label = name === null ? "this namespace" : `table ${parts[0].family} ${name}`;
  const first = newScope(draft, draft.tables.length, label);
  const scopes = parts.map((_, i): TableScope => ({ ...first, index: first.index + i }));
  for (const { family } of parts) draft.tables.push({ family, name });
  const sets = items.filter(isSet);
  const neutral: RuleScope = { table: first, family: parts[0].family, hooks: new Set(), base: false, program: null };
  for (const [i, { chains, family }] of parts.entries())
    for (const chain of chains) declareChain(scopes[i], chain, family);
  for (const set of sets) declareSet(neutral, set);
  for (const item of items) declareState(first, item);
  const program = parts.some(({ programs }) => programs.length > 0) ? "any" : null;
  for (const set of sets) fillSet({ ...neutral, program }, set);
  for (const [i, part] of parts.entries()) checkPart(scopes[i], part, sets);
}

function checkPart(scope: TableScope, { family, chains, programs }: TablePart, sets: readonly Nft.SetDecl[]): void {
  const graph = chainGraph(chains, sets, programs);
  const sound = checkJumps(graph, scope.draft.report);
  const hooks = sound ? hooksByChain(scope, graph, programs) : new Map<string, ReadonlySet<Hook>>();
  for (const chain of chains) {
    const entry = scope.chains.get(chain.name.value);
    if (entry === undefined || entry.span !== chain.name.span) continue;
    const base = entry.chain.base !== null;
    const at = hooks.get(chain.name.value) ?? new Set();
    const rule: RuleScope = { table: scope, family, base, hooks: at, program: programOf(at) };
    entry.chain.rules = chain.rules.map((node) => filterRule(rule, node));
  }
  for (const node of programs) addProgram(scope, family, node);
  lintChains(scope, graph, chains, programs);
}

function hooksByChain(
  scope: TableScope,
  graph: ChainGraph,
  programs: readonly Nft.Program[],
): ReadonlyMap<string, ReadonlySet<Hook>> {
  const ofChains = [...scope.chains].flatMap(([chain, entry]) =>
    entry.chain.base === null ? [] : [{ chain, what: entry.chain.base.hook as Hook }],
  );
  const ofPrograms = programs.flatMap((program) => {
    const what = programHook(program);
    return what === undefined ? [] : [{ chain: programNode(program), what }];
  });
  return reached(graph, [...ofChains, ...ofPrograms]);
}

function declareChain(scope: TableScope, node: Nft.Chain, family: TableFamily): void {
  const { report, chains } = scope.draft;
  checkName(scope.draft, "chain", node.name);
  const before = scope.chains.get(node.name.value);
  if (before !== undefined) {
    report.error("E0412", node.name.span, `chain \`${node.name.value}\` is defined twice`, {
      secondary: [{ span: before.span, message: "the first time" }],
    });
    return;
  }
  if (node.base === undefined && node.policy !== undefined) {
    report.error("E0400", node.policy.span, "a chain without a hook has no policy", {
      label: "it goes back to where it was called from",
    });
  }
  const base: BaseChain | null =
    node.base === undefined ? null : baseChain(scope.draft, family, node.base, node.policy);
  const chain: Mutable<Chain> = {
    id: chainId(chains.length),
    table: scope.index,
    name: node.name.value,
    base,
    rules: [],
    origin: { span: node.span },
  };
  chains.push(chain);
  scope.chains.set(node.name.value, { chain, span: node.name.span });
}

function declareState(scope: TableScope, item: Nft.TableItem): void {
  const { report, counters, limits } = scope.draft;
  if (item.kind !== "counter" && item.kind !== "limit") return;
  checkName(scope.draft, item.kind, item.name);
  const { value, span } = item.name;
  const before = scope[item.kind === "counter" ? "counters" : "limits"].get(value);
  if (before !== undefined) {
    report.error("E0412", span, `${item.kind} \`${value}\` is declared twice`, {
      secondary: [{ span: before.span, message: "the first time" }],
    });
  } else if (item.kind === "counter") {
    const counter = newCounter(scope, value, item.packets?.value ?? 0n, item.bytes?.value ?? 0n, item.span, counters);
    scope.counters.set(value, { counter, span });
  } else if (item.rate === null) {
    report.error("E0413", span, "a limit has a rate: `rate 10/second`");
  } else {
    const id = newLimit(scope, item.rate, value);
    if (id !== null) scope.limits.set(value, { limit: limits[id], span });
  }
}

// Hooks.

const IP_FAMILIES: Readonly<Record<TableFamily, readonly (4 | 6)[]>> = { ip: [4], ip6: [6], inet: [4, 6], netdev: [] };

/** nf_hook_entries_grow: a new chain goes before those of its own priority. */
function hooksOf({ tables, chains }: FilterDraft): HookChains[] {
  const hooks = new Map<string, { hook: HookChains; list: Mutable<Chain>[] }>();
  const enter = (chain: Mutable<Chain>, at: Omit<HookChains, "chains">): void => {
    const key = `${at.hook} ${at.family} ${at.device}`;
    const entry = hooks.get(key) ?? { hook: { ...at, chains: [] }, list: [] };
    hooks.set(key, entry);
    const { list } = entry;
    const before = list.findIndex((other) => other.base!.priority >= chain.base!.priority);
    list.splice(before < 0 ? list.length : before, 0, chain);
  };
  for (const chain of chains) {
    if (chain.base === null) continue;
    const { hook, devices } = chain.base;
    for (const device of devices) enter(chain, { hook, family: null, device });
    for (const family of IP_FAMILIES[tables[chain.table].family]) enter(chain, { hook, family, device: null });
  }
  return [...hooks.values()].map(({ hook, list }) => ({ ...hook, chains: list.map((chain) => chain.id) }));
}
