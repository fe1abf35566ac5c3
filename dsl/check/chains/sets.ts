/** Sets, maps and verdict maps: what is declared, and what stands between braces in a rule. */
import { ARRAY_LIMIT, COUNTER_TYPE, isArray } from "../../../runtime/hooks.ts";
import type { SetDecl, Term } from "../../chain-ast.ts";
import { type Field, MAP_KINDS, type MapKind, type SetId, setId } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { suggest } from "../../suggest.ts";
import { anonymousSet } from "./anonymous.ts";
import { COUNTER, type Datatype, TYPE_NAMES } from "./datatypes.ts";
import { arrange, elementsOf, holdsAll, isRest, prefixes, typeWords } from "./elements.ts";
import { startRule } from "./rule-draft.ts";
import { checkName, type RuleScope, type SetEntry, type TableScope } from "./scope.ts";
import { operand } from "./terms.ts";

const fieldOf = ({ name, bits }: Datatype): Field => ({ type: name, bits });

/** `{ ... }` in a rule: ranges that touch or overlap become one. Null after an error. */
export function literalSet(
  rule: RuleScope,
  term: Extract<Term, { kind: "set" }>,
  key: readonly Datatype[],
  value: Datatype | "verdict" | null,
): SetId | null {
  if (term.elements.length === 0) {
    rule.table.draft.report.error("E0408", term.span, "nothing is in an empty set", {
      kernel: "Error: syntax error, unexpected '}'",
    });
    return null;
  }
  const elements = elementsOf(rule, term.elements, key, value);
  if (elements === null) return null;
  const interval = elements.some((element) => element.key.some(({ first, last }) => first !== last));
  const arranged = arrange(rule, elements, key, value === null, term.span);
  if (arranged === null) return null;
  const valueField = value === null || value === "verdict" ? value : fieldOf(value);
  return anonymousSet(rule.table, key.map(fieldOf), valueField, interval, arranged, term.span);
}

/** The set or map that a rule names, when its key fits. Null after an error. */
export function namedSet(
  scope: TableScope,
  term: Extract<Term, { kind: "ref" }>,
  key: readonly Datatype[],
  value: "set" | "map" | "verdict",
): SetEntry | null {
  const { report } = scope.draft;
  const entry = scope.sets.get(term.name);
  if (entry === undefined) {
    const meant = suggest(term.name, scope.sets.keys());
    report.error("E0405", term.span, `no set or map \`${term.name}\` in ${scope.label}`, {
      kernel: "Error: No such file or directory",
      help:
        meant === null
          ? []
          : [{ message: `did you mean \`@${meant}\`?`, edit: { span: term.span, text: `@${meant}` } }],
    });
    return null;
  }
  const is = entry.value === null ? "set" : entry.value === "verdict" ? "verdict" : "map";
  const fits = value === "set" || is === value;
  if (!fits) {
    const words = { set: "set", map: "map", verdict: "verdict map" };
    report.error("E0403", term.span, `\`${term.name}\` is a ${words[is]}, and a ${words[value]} is needed here`, {
      secondary: [{ span: entry.span, message: "declared here" }],
    });
    return null;
  }
  if (sameTypes(entry.key, key)) return entry;
  report.error("E0403", term.span, `\`${term.name}\` holds ${typeWords(entry.key)}, not ${typeWords(key)}`, {
    secondary: [{ span: entry.span, message: "declared here" }],
    kernel: "Error: datatype mismatch",
  });
  return null;
}

/** Numbers are compatible with everything of their width, as are marks and the like that one can only count. */
const sameTypes = (a: readonly Datatype[], b: readonly Datatype[]): boolean =>
  a.length === b.length && a.every((type, i) => sameType(type, b[i]));
export const sameType = (a: Datatype, b: Datatype): boolean =>
  a.bits === b.bits && (a.name === b.name || a.name === "integer" || b.name === "integer");

// Declarations.

/** Enters a set's name and types; its elements follow when all chains are known. */
export function declareSet(rule: RuleScope, node: SetDecl): void {
  const { table: scope } = rule;
  const { report, sets } = scope.draft;
  checkName(scope.draft, node.kind, node.name);
  const before = scope.sets.get(node.name.value);
  if (before !== undefined) {
    report.error("E0412", node.name.span, `\`${node.name.value}\` is declared twice`, {
      secondary: [{ span: before.span, message: "the first time" }],
    });
    return;
  }
  if (node.key === null) {
    report.error("E0413", node.name.span, `a ${node.kind} needs a type`, { label: "`type ipv4_addr`, for example" });
    return;
  }
  const key = typesOf(rule, node.key);
  const value = node.value === null ? null : valueTypeOf(rule, node.value);
  if (key === null || value === undefined) return;
  if ((node.kind === "map") !== (value !== null) && storageOf(node) === null) {
    report.error(
      "E0413",
      node.name.span,
      node.kind === "map" ? "a map gives values: `type KEY : VALUE`" : "a set has no values: it is a `map`",
    );
    return;
  }
  const misfit = kindMisfit(node, key, value);
  if (misfit !== null) {
    report.error("E0413", (node.storage ?? node.name).span, misfit);
    return;
  }
  const set = {
    id: setId(sets.length),
    table: scope.index,
    name: node.name.value,
    key: key.map(fieldOf),
    value: value === null || value === "verdict" ? value : fieldOf(value),
    interval: node.flags.some((flag) => flag.value === "interval") || node.storage?.value === "lpm_trie",
    storage: storageOf(node),
    size: node.size?.value ?? null,
    elements: [],
    origin: { span: node.span },
  };
  for (const flag of node.flags) checkFlag(scope, flag);
  if (node.storage !== undefined && set.storage === null) {
    report.error("E0413", node.storage.span, `no kind of map \`${node.storage.value}\``, {
      label: MAP_KINDS.join(", "),
    });
  }
  sets.push(set);
  scope.sets.set(node.name.value, { set, key, value, span: node.name.span });
}

/** Why a map cannot be of its kind; null: it can. */
function kindMisfit(node: SetDecl, key: readonly Datatype[], value: Datatype | "verdict" | null): string | null {
  const storage = storageOf(node);
  const interval = node.flags.some((flag) => flag.value === "interval");
  if (storage === "hash" && interval) return "a `hash` holds single values: ranges are `flags interval` without a kind";
  if (storage === "lpm_trie" && key.length !== 1) return "an `lpm_trie` has prefixes of one field";
  if (storage === null || !isArray(storage))
    return value === COUNTER && storage === null && node.kind === "set" ? "a set has no values: it is a `map`" : null;
  const size = node.size?.value ?? 0;
  const [{ bits }] = key;
  if (key.length !== 1 || bits > 32) return `the key of \`kind ${storage}\` is a number: one field of at most 32 bits`;
  if (interval) return `the elements of \`kind ${storage}\` are all there: \`flags interval\` says nothing`;
  if (size < 1 || size > Math.min(2 ** bits, ARRAY_LIMIT))
    return `\`kind ${storage}\` needs a \`size\` from 1 to ${Math.min(2 ** bits, ARRAY_LIMIT)}`;
  if (storage === "counters")
    return value === COUNTER ? null : "the values of `kind counters` are counters: `type KEY : counter`";
  if (value === null || value === "verdict" || value === COUNTER)
    return storage === "array" && value === COUNTER
      ? "an array of counters is `kind counters`"
      : `the values of \`kind ${storage}\` are fields: all its elements are there, 0 at first`;
  return storage === "devmap" && value.name !== "iface_index" && value.name !== "ifname"
    ? "the values of `kind devmap` are devices: `type KEY : iface_index`"
    : null;
}

const storageOf = (node: SetDecl): MapKind | null => MAP_KINDS.find((kind) => kind === node.storage?.value) ?? null;

const FLAGS = ["interval", "constant"];
function checkFlag(scope: TableScope, { value, span }: { value: string; span: Span }): void {
  if (FLAGS.includes(value)) return;
  scope.draft.report.error("E0414", span, `flag \`${value}\` is not supported`, {
    label: value === "timeout" || value === "dynamic" ? "elements stay until they are taken out" : "",
  });
}

function typesOf(rule: RuleScope, type: NonNullable<SetDecl["key"]>): Datatype[] | null {
  if ("typeOf" in type) {
    const parts = type.typeOf.kind === "concat" ? type.typeOf.parts : [type.typeOf];
    // A type is not read from a packet: what a field implies is of no concern here.
    const types = parts.map(
      (part) => operand(startRule({ ...rule, family: "inet", hooks: new Set() }), part)?.type ?? null,
    );
    return types.every((t) => t !== null) ? types : null;
  }
  const { report } = rule.table.draft;
  const types = type.types.map((name) => {
    const known = TYPE_NAMES.get(name.value);
    if (known !== undefined) return known;
    const meant = suggest(name.value, TYPE_NAMES.keys());
    report.error("E0413", name.span, `no type \`${name.value}\``, {
      label: "",
      help: meant === null ? [] : [{ message: `did you mean \`${meant}\`?`, edit: { span: name.span, text: meant } }],
    });
    return null;
  });
  return types.every((t) => t !== null) ? types : null;
}

/** Undefined after an error. */
function valueTypeOf(rule: RuleScope, type: NonNullable<SetDecl["value"]>): Datatype | "verdict" | undefined {
  const word = "types" in type ? type.types[0]?.value : type.typeOf.kind === "word" ? type.typeOf.text : undefined;
  if (word === "verdict") return "verdict";
  if (word === COUNTER_TYPE) return COUNTER;
  const types = typesOf(rule, type);
  if (types === null) return undefined;
  if (types.length === 1) return types[0];
  const span =
    "types" in type ? { start: type.types[0].span.start, end: type.types.at(-1)!.span.end } : type.typeOf.span;
  rule.table.draft.report.error("E0414", span, "a map's value is one field");
  return undefined;
}

/** Fills in the elements of a declared set. */
export function fillSet(rule: RuleScope, node: SetDecl): void {
  const entry = rule.table.sets.get(node.name.value);
  if (entry === undefined || entry.span !== node.name.span) return;
  const elements = elementsOf(rule, node.elements, entry.key, entry.value);
  if (elements === null) return;
  const { set } = entry;
  const { report } = rule.table.draft;
  const rest = node.elements.some(isRest);
  const ranged = elements.findIndex(
    (element) => !holdsAll(element, entry.key) && element.key.some(({ first, last }) => first !== last),
  );
  if (ranged >= 0 && !set.interval) {
    report.error(
      "E0408",
      node.elements[ranged]?.key.span ?? node.name.span,
      `\`${node.name.value}\` holds single values`,
      {
        help: [{ message: "`flags interval` makes it hold ranges and prefixes" }],
        kernel: "Error: You must add 'flags interval' to your set declaration if you want to add prefix elements",
      },
    );
    return;
  }
  if (set.size !== null && elements.length > set.size)
    report.error("E0408", node.name.span, `${elements.length} elements, and room for ${set.size}`);
  if (isArray(set.storage)) {
    const outside = elements.find(({ key: [range] }) => Number(range.last) >= (set.size ?? 0));
    if (outside !== undefined)
      report.error(
        "E0408",
        node.name.span,
        `the keys are 0 to ${(set.size ?? 0) - 1}, and ${outside.key[0].last} is none`,
      );
  }
  if (set.storage === "lpm_trie") set.elements = prefixes(rule, elements, entry.key[0], node.name.span);
  else {
    const merge = node.autoMerge === true && entry.value === null;
    set.elements = arrange(rule, elements, entry.key, merge, node.name.span) ?? [];
    if (rest) set.interval = true;
  }
}
