/**
 * What a rule set says becomes a file that `vrfc check` takes: what vrfc does not have (chains of type `nat`, `ct mark`, families
 * `arp` and `bridge`, ...) is left out, the smallest part of the text at a time, and kept as a comment with the reason; devices that
 * rules name are taken as interfaces that the machine has.
 *
 *   admit = check -> { devices | the parts with errors -> comments } -> check ...
 */
import type { File, Interface, Item, Node } from "../../../dsl/ast.ts";
import type { Chain, FilterRule, FilterTable, SetDecl, TableItem } from "../../../dsl/chain-ast.ts";
import { check } from "../../../dsl/check.ts";
import type { Diagnostic } from "../../../dsl/diagnostic.ts";
import { lineText, type Source, type Span } from "../../../dsl/span.ts";
import type { ImportCode } from "../codes.ts";
import { isDeviceName } from "../devices.ts";

export interface Imported {
  readonly source: Source;
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
}

/** @param imported tables alone, of importNft or importNftJson @returns a file without errors */
export function admit({ source, ast, diagnostics }: Imported): Imported {
  const said = [...diagnostics];
  const devices = new Map<string, Interface>();
  let tables = ast.items as readonly FilterTable[];
  let tail = ast.tail ?? [];
  // Each round leaves something out, or names a device.
  for (;;) {
    const items: Item[] = [...devices.values(), ...tables];
    const file: File = { kind: "file", span: ast.span, items, ...(tail.length > 0 ? { tail } : {}) };
    const checked = check(file, source).diagnostics;
    const unknown = new Map(checked.flatMap((one) => unknownDevice(one)).map((device) => [device.name.value, device]));
    for (const [name, device] of unknown) {
      if (devices.has(name)) unknown.delete(name);
      else {
        devices.set(name, device);
        const message = `\`${name}\` is not declared here: taken as an interface that the machine has, and up`;
        said.push(finding("W0504", "note", device.span, message));
      }
    }
    if (unknown.size > 0) continue;
    const cut = new Cut(checked, source);
    const kept = cut.tables(tables);
    if (cut.left.length === 0)
      return { source, ast: file, diagnostics: said.sort((a, b) => a.primary.span.start - b.primary.span.start) };
    said.push(...cut.left.map((one) => finding("W0501", "warning", one.primary.span, `not imported: ${whyOf(one)}`)));
    [tables, tail] = [kept.nodes, [...kept.tail, ...tail]];
  }
}

const finding = (code: ImportCode, severity: "warning" | "note", span: Span, message: string): Diagnostic => ({
  code,
  severity,
  message,
  primary: { span, message: "" },
  secondary: [],
  help: [],
});

/** The device that a diagnostic misses, by the name that it tells: in the text there may be a variable (`$WAN`). */
function unknownDevice({ code, message, primary: { span } }: Diagnostic): Interface[] {
  const name = code === "E0202" || code === "W0421" ? /`([^`]*)`/.exec(message)?.[1] : undefined;
  return name !== undefined && isDeviceName(name) && !name.endsWith("*")
    ? [{ kind: "interface", span, name: { value: name, span }, properties: [] }]
    : [];
}

const whyOf = ({ message, primary }: Diagnostic): string =>
  primary.message === "" ? message : `${message}: ${primary.message}`;

/** The nodes that stay, and the comments of those that stood behind the last of them. */
interface Kept<T> {
  readonly nodes: T[];
  readonly tail: readonly (string | null)[];
}

/** Leaves out what has errors, each time the smallest part that has. */
class Cut {
  /** An error of each part that was left out. */
  readonly left: Diagnostic[] = [];
  readonly #errors: readonly Diagnostic[];
  readonly #source: Source;

  constructor(diagnostics: readonly Diagnostic[], source: Source) {
    this.#errors = diagnostics.filter(({ severity }) => severity === "error");
    this.#source = source;
  }

  tables(tables: readonly FilterTable[]): Kept<FilterTable> {
    return this.#without(tables, (table) => {
      if (this.#errorAt([table.family.span, table.name.span])) return null;
      const { nodes, tail } = this.#without(table.items, (item) => this.#item(item));
      return { ...table, items: nodes, ...tailed(table.tail, tail) };
    });
  }

  #item(item: TableItem): TableItem | null {
    if (item.kind === "chain") return this.#chain(item);
    const spans = item.kind === "set" || item.kind === "map" ? spansOfSet(item) : [item.span];
    return this.#errorAt(spans) ? null : item;
  }

  #chain(chain: Chain): Chain | null {
    const head = [
      chain.name.span,
      ...(chain.base ? [chain.base.span] : []),
      ...(chain.policy ? [chain.policy.span] : []),
    ];
    if (this.#errorAt(head)) return null;
    const { nodes, tail } = this.#without(chain.rules, (rule): FilterRule | null =>
      this.#errorAt([rule.span]) ? null : rule,
    );
    return { ...chain, rules: nodes, ...tailed(chain.tail, tail) };
  }

  #errorAt(spans: readonly Span[]): boolean {
    const error = this.#errors.find(({ primary: { span } }) =>
      spans.some(({ start, end }) => start <= span.start && span.end <= end),
    );
    if (error !== undefined) this.left.push(error);
    return error !== undefined;
  }

  #without<T extends Node>(nodes: readonly T[], change: (node: T) => T | null): Kept<T> {
    const kept: T[] = [];
    let above: (string | null)[] = [];
    for (const node of nodes) {
      const changed = change(node);
      if (changed === null) {
        const why = whyOf(this.left.at(-1)!);
        above.push(...(node.comments ?? []), `not imported (${why}): ${lineText(this.#source, node.span.start)}`);
      } else {
        kept.push(above.length === 0 ? changed : { ...changed, comments: [...above, ...(changed.comments ?? [])] });
        above = [];
      }
    }
    return { nodes: kept, tail: above };
  }
}

const spansOfSet = ({ span, elements }: SetDecl): Span[] => [
  span,
  ...elements.flatMap(({ key, value }) => [key.span, ...(value === undefined ? [] : [value.span])]),
];

const tailed = (
  own: readonly (string | null)[] | undefined,
  more: readonly (string | null)[],
): { tail?: readonly (string | null)[] } => {
  const tail = [...more, ...(own ?? [])];
  return tail.length === 0 ? {} : { tail };
};
