/** Chains, sets, maps and programs as text, in the form in which `nft list ruleset` prints them. */
import type { Node } from "../ast.ts";
import type {
  BinaryOp,
  Chain,
  Clause,
  Element,
  FilterItem,
  FilterRule,
  Program,
  Rate,
  SetDecl,
  TableItem,
  Term,
} from "../chain-ast.ts";
import { isNftWord } from "./tokens.ts";

type Lines = readonly string[];
/** How dsl/print.ts lays out a block. */
export type PrintBlock = <T extends Node>(
  head: string,
  node: Node & { readonly tail?: readonly (string | null)[] },
  children: readonly T[],
  toLines: (node: T, depth: number) => Lines,
) => Lines;

export function filterLines(node: FilterItem, block: PrintBlock): Lines {
  switch (node.kind) {
    case "filter table":
      return block(`table ${node.family.value} ${name(node.name.value)}`, node, node.items, (one: TableItem) =>
        filterLines(one, block),
      );
    case "chain":
      return block(`chain ${name(node.name.value)}`, node, [...chainHead(node), ...node.rules], line);
    case "program": {
      const order = node.priority === undefined ? "" : ` priority ${node.priority.value}`;
      const head = `program ${name(node.name.value)} on ${node.hook.value} ${device(node.device.value)}${order}`;
      return block(head, node, [...programHead(node), ...node.rules], line);
    }
    case "set":
    case "map":
      return block(`${node.kind} ${name(node.name.value)}`, node, setLines(node), line);
    case "counter": {
      const counts = countsText(node);
      return block(`counter ${name(node.name.value)}`, node, counts === "" ? [] : [said(counts)], line);
    }
    case "limit":
      return block(`limit ${name(node.name.value)}`, node, node.rate ? [said(rate(node.rate))] : [], line);
  }
}

/** A line of a block that is no node of its own. */
type Said = Node & { readonly kind: "said"; readonly lines: Lines };
const said = (...lines: string[]): Said => ({ kind: "said", span: { start: 0, end: 0 }, lines });
const line = (node: Said | FilterRule): Lines => (node.kind === "said" ? node.lines : [rule(node)]);

function chainHead({ base, policy }: Chain): Said[] {
  if (base === undefined) return policy === undefined ? [] : [said(`policy ${policy.value}`)];
  const devices =
    base.devices.length === 0
      ? ""
      : base.devices.length === 1
        ? ` device ${device(base.devices[0].value)}`
        : ` devices = { ${base.devices.map((d) => device(d.value)).join(", ")} }`;
  const head = `type ${base.type.value} hook ${base.hook.value}${devices} priority ${base.priority.value};`;
  return [said(policy === undefined ? head : `${head} policy ${policy.value};`)];
}

const programHead = ({ policy }: Program): Said[] => (policy === undefined ? [] : [said(`policy ${policy.value}`)]);

function setLines(node: SetDecl): Said[] {
  const lines: Said[] = [];
  if (node.key !== null) {
    const value = node.value === null ? "" : ` : ${typeOf(node.value)}`;
    lines.push(said(`${"types" in node.key ? "type" : "typeof"} ${typeOf(node.key)}${value}`));
  }
  if (node.flags.length > 0) lines.push(said(`flags ${node.flags.map((f) => f.value).join(",")}`));
  if (node.autoMerge) lines.push(said("auto-merge"));
  if (node.storage !== undefined) lines.push(said(`kind ${node.storage.value}`));
  if (node.size !== undefined) lines.push(said(`size ${node.size.value}`));
  if (node.elements.length > 0) lines.push(said(...elementLines(node.elements)));
  return lines;
}

const typeOf = (type: NonNullable<SetDecl["key"]>): string =>
  "types" in type ? type.types.map((t) => t.value).join(" . ") : term(type.typeOf);

const WIDTH = 96;

/** As many elements a line as fit, the others below the first. */
function elementLines(elements: readonly Element[]): string[] {
  const lines: string[] = [];
  let current = "elements = { ";
  const indent = " ".repeat(current.length);
  for (const [i, one] of elements.entries()) {
    const text = element(one) + (i === elements.length - 1 ? " }" : ", ");
    if (current.length + text.length > WIDTH && current.trim() !== "" && i > 0) {
      lines.push(current.trimEnd());
      current = indent;
    }
    current += text;
  }
  return [...lines, current];
}

// Rules.

export const rule = (node: FilterRule): string =>
  [...node.clauses.map(clause), ...(node.comment === undefined ? [] : [`comment "${node.comment.value}"`])].join(" ");

function clause(node: Clause): string {
  switch (node.kind) {
    case "match":
      return [term(node.left), ...(node.op === null ? [] : [node.op]), term(node.right)].join(" ");
    case "vmap":
      return `${term(node.key)} vmap ${term(node.map)}`;
    case "assign":
      return `${term(node.target)} set ${term(node.value)}`;
    case "verdict":
      return verdict(node);
    case "counter":
      if (node.of !== undefined) return `counter name ${term(node.of)}`;
      if (node.name !== undefined) return `counter name ${name(node.name.value)}`;
      return `counter ${countsText(node)}`.trimEnd();
    case "limit":
      return `limit name ${name(node.name.value)}`;
    case "rate":
      return `limit ${rate(node.rate)}`;
    case "log":
      return [
        "log",
        ...(node.prefix === undefined ? [] : [`prefix "${node.prefix.value}"`]),
        ...(node.level === undefined ? [] : [`level ${node.level.value}`]),
        ...(node.options ?? []).map((option) => option.value),
      ].join(" ");
    case "reject":
      return node.with === undefined ? "reject" : `reject with ${node.with.map((word) => word.value).join(" ")}`;
    case "send":
      return node.how === "redirect" ? `REDIRECT ${term(node.to)}` : `${node.how} to ${term(node.to)}`;
  }
}

const verdict = (node: { readonly word: { value: string }; readonly chain?: { value: string } }): string =>
  node.chain === undefined ? node.word.value : `${node.word.value} ${name(node.chain.value)}`;

/** In the order in which nft lists them; "" when none is said. */
const countsText = ({ packets, bytes }: Counts): string =>
  packets == null && bytes == null ? "" : `packets ${packets?.value ?? 0n} bytes ${bytes?.value ?? 0n}`;
type Counts = { readonly [K in "packets" | "bytes"]?: { readonly value: bigint } | null };

function rate({ over, amount, unit, per, burst }: Rate): string {
  const speed = unit === undefined ? `${amount.value}/${per.value}` : `${amount.value} ${unit.value}/${per.value}`;
  const tail =
    burst === undefined ? "" : ` burst ${burst.amount.value}${burst.unit === undefined ? "" : ` ${burst.unit.value}`}`;
  return `rate ${over ? "over " : ""}${speed}${tail}`;
}

// Terms.

const BARE_META: ReadonlySet<string> = new Set([
  ...["iif", "oif", "iifname", "oifname", "iiftype", "oiftype", "iifgroup", "oifgroup"],
]);

function term(node: Term): string {
  switch (node.kind) {
    case "field":
      return node.words[0] === "meta" && BARE_META.has(node.words[1]) ? node.words[1] : node.words.join(" ");
    case "raw":
      return `@${node.base},${node.offset},${node.bits}`;
    case "fib":
      return `fib ${node.flags.join(" . ")} ${node.result}`;
    case "word":
      return node.quoted ? `"${node.text}"` : node.text;
    case "range":
      return `${term(node.first)} - ${term(node.last)}`;
    case "list":
      return node.parts.map(term).join(",");
    case "concat":
      return node.parts.map(term).join(" . ");
    case "binary":
      // Operators of one kind go from left to right.
      return `${isSame(node.left, node.op) ? term(node.left) : inner(node.left)} ${node.op} ${inner(node.right)}`;
    case "set":
      return node.elements.length === 0 ? "{ }" : `{ ${node.elements.map(element).join(", ")} }`;
    case "ref":
      return `@${node.name}`;
    case "map":
      return `${term(node.key)} map ${term(node.map)}`;
  }
}

const isSame = (node: Term, op: BinaryOp): boolean => node.kind === "binary" && node.op === op && op !== "/";
const inner = (node: Term): string => (node.kind === "binary" ? `(${term(node)})` : term(node));

function element({ key, value, comment }: Element): string {
  const text = comment === undefined ? term(key) : `${term(key)} comment "${comment}"`;
  if (value === undefined) return text;
  return `${text} : ${value.kind === "verdict" ? verdict(value) : term(value)}`;
}

const name = (text: string): string => (isNftWord(text) ? text : `"${text}"`);
const device = (text: string): string => (isNftWord(text) ? text : `"${text}"`);
