/**
 * A rule set while commands build it: tables, and in them chains, sets, maps, counters and limits in the order in which
 * they came, which is the order in which the kernel lists them and in which base chains of one priority are ordered. What
 * nft or the kernel would refuse is thrown as `Refused`.
 */
import type { Name, Node } from "../../../dsl/ast.ts";
import type { Chain, Element, FilterRule, FilterTable, SetDecl, TableItem } from "../../../dsl/chain-ast.ts";
import { Refused } from "../words.ts";

type Draft<T> = { -readonly [P in keyof T]: T[P] };
type ChainDraft = Omit<Draft<Chain>, "rules"> & { rules: FilterRule[] };
type SetDraft = Omit<Draft<SetDecl>, "elements"> & { elements: Element[] };
type ItemDraft = ChainDraft | SetDraft | Exclude<TableItem, Chain | SetDecl>;

export interface TableDraft extends Draft<Node> {
  readonly family: Name;
  readonly name: Name;
  tail?: readonly (string | null)[];
  items: ItemDraft[];
}

/** strerror(), as nft prints it. */
const Errno = {
  ENOENT: "No such file or directory",
  EEXIST: "File exists",
} as const;

/** How a command names a table: `inet filter`, or `filter` alone for family ip. */
export interface TableName {
  readonly family: Name;
  readonly name: Name;
}

export class RuleSet {
  tables: TableDraft[] = [];

  ast(): FilterTable[] {
    return this.tables.map((table) => ({ kind: "filter table", ...table, items: table.items as TableItem[] }));
  }

  /** `flush ruleset [FAMILY]` */
  flush(family?: string): void {
    this.tables = family === undefined ? [] : this.tables.filter((table) => table.family.value !== family);
  }

  private find({ family, name }: TableName): TableDraft | undefined {
    return this.tables.find((one) => one.family.value === family.value && one.name.value === name.value);
  }

  table(name: TableName): TableDraft {
    const table = this.find(name);
    if (table === undefined) throw new Refused(Errno.ENOENT, name.name.span);
    return table;
  }

  /** `add table`: one that is there already is the same. */
  addTable(name: TableName, node: Node, exclusive = false): TableDraft {
    const known = this.find(name);
    if (known !== undefined && exclusive) throw new Refused(Errno.EEXIST, name.name.span);
    if (known !== undefined) {
      if (node.comments) known.comments = [...(known.comments ?? []), ...node.comments];
      return known;
    }
    const table: TableDraft = { ...node, family: name.family, name: name.name, items: [] };
    this.tables.push(table);
    return table;
  }

  deleteTable(name: TableName): void {
    const table = this.table(name);
    this.tables = this.tables.filter((one) => one !== table);
  }
}

// Items of a table.

/** Chains have their own names, sets and maps share theirs, and so on. */
const spaceOf = (kind: TableItem["kind"]): string => (kind === "map" ? "set" : kind);

export function findItem(table: TableDraft, kind: TableItem["kind"], name: Name): ItemDraft {
  const found = table.items.find((item) => spaceOf(item.kind) === spaceOf(kind) && item.name.value === name.value);
  if (found === undefined) throw new Refused(Errno.ENOENT, name.span);
  return found;
}

export const findChain = (table: TableDraft, name: Name): ChainDraft => findItem(table, "chain", name) as ChainDraft;
export const findSet = (table: TableDraft, name: Name): SetDraft => findItem(table, "set", name) as SetDraft;

/** Adds what a block or a command says; what is said of a chain or set that is there already is added to it. */
export function addItem(table: TableDraft, item: TableItem, exclusive = false): void {
  const known = table.items.find(
    (one) => spaceOf(one.kind) === spaceOf(item.kind) && one.name.value === item.name.value,
  );
  if (known === undefined) {
    table.items.push(draftOf(item));
  } else if (exclusive || known.kind !== item.kind) {
    throw new Refused(Errno.EEXIST, item.name.span);
  } else if (item.kind === "chain") {
    addToChain(known as ChainDraft, item);
  } else if (item.kind === "set" || item.kind === "map") {
    for (const one of item.elements) (known as SetDraft).elements.push(one);
  }
}

function draftOf(item: TableItem): ItemDraft {
  switch (item.kind) {
    case "chain":
      return { ...item, rules: [...item.rules] };
    case "set":
    case "map":
      return { ...item, elements: [...item.elements] };
    case "counter":
    case "limit":
      return item;
  }
}

function addToChain(known: ChainDraft, more: Chain): void {
  if (more.base !== undefined) {
    const differs =
      known.base === undefined ||
      known.base.hook.value !== more.base.hook.value ||
      known.base.priority.value !== more.base.priority.value;
    if (differs) throw new Refused(Errno.EEXIST, more.name.span);
  }
  if (more.policy !== undefined) known.policy = more.policy;
  for (const one of more.rules) known.rules.push(one);
  if (more.comments !== undefined) known.comments = [...(known.comments ?? []), ...more.comments];
}

export function deleteItem(table: TableDraft, kind: TableItem["kind"], name: Name): void {
  const item = findItem(table, kind, name);
  table.items = table.items.filter((one) => one !== item);
}
