/**
 * The commands of `nft -f FILE`, run in order.
 *
 *   script  = { command Separator }
 *   command = "table" TABLE [ "{" { item } "}" ]
 *           | ["add" | "create"] "table" TABLE | ["add" | "create"] KIND TABLE NAME [BLOCK]      KIND: chain, set, map, ...
 *           | ["add" | "insert"] "rule" TABLE CHAIN ["index" N] RULE
 *           | "add" "element" TABLE SET ELEMENTS | "delete" KIND TABLE [NAME] | "flush" ("ruleset" | "table" | "chain" | "set")
 *           | "define" NAME "=" VALUE                                                            see define.ts
 *   TABLE   = [FAMILY] NAME                                                                      without FAMILY: ip
 *
 * A rule that vrfc cannot express is left out and kept as a comment, as are the comments of the text.
 */
import type { Node } from "../../../dsl/ast.ts";
import type { TableItem } from "../../../dsl/chain-ast.ts";
import { itemOfKind, readRule, tableItem } from "../../../dsl/nft/read.ts";
import {
  block,
  isA,
  parseStatement,
  peek,
  type Reader,
  skipSeparators,
  startReading,
  tailOf,
  takeName,
  takeNote,
  takeStatement,
  whole,
} from "../../../dsl/nft/reader.ts";
import { spanOfTokens } from "../../../dsl/nft/terms.ts";
import { K, type NftToken, P, tokenizeNft, wordOf } from "../../../dsl/nft/tokens.ts";
import { lineText, type Span } from "../../../dsl/span.ts";
import { Refused } from "../words.ts";
import { expandDefines } from "./define.ts";
import {
  addItem,
  deleteItem,
  findChain,
  findItem,
  findSet,
  RuleSet,
  type TableDraft,
  type TableName,
} from "./rule-set.ts";

/** What is told of a script as it is read. */
export interface ScriptReport {
  /** Not a thing that vrfc can express. */
  leftOut(span: Span, why: string): void;
  /** nft or the kernel would refuse it, and with it the whole script. */
  refused(span: Span, kernel: string): void;
}

export interface Script {
  readonly ruleSet: RuleSet;
  /** Comments below the last command. */
  readonly tail: readonly (string | null)[];
}

const FAMILIES: ReadonlySet<string> = new Set(["ip", "ip6", "inet", "netdev", "arp", "bridge"]);
const KINDS = ["chain", "set", "map", "counter", "limit"] as const;
const kindOf = (word: string | undefined): TableItem["kind"] | undefined => KINDS.find((kind) => kind === word);
/** Objects that need what a dataplane of this kind does not have. */
const NO_OBJECT: ReadonlySet<string> = new Set(["flowtable", "quota", "ct", "secmark", "synproxy"]);

/** Runs the commands of `text` between two offsets. Never throws. */
export function runScript(text: string, span: Span, report: ScriptReport): Script {
  return new ScriptRun(text, span, report).run();
}

class ScriptRun {
  readonly text: string;
  private readonly report: ScriptReport;
  private readonly r: Reader;
  private readonly ruleSet = new RuleSet();
  /** What was left out and has not found a place for its comment yet. */
  private pending: string[] = [];

  constructor(text: string, span: Span, report: ScriptReport) {
    this.text = text;
    this.report = report;
    const raw = tokenizeNft(text, span.start, span.end);
    const tokens = expandDefines(raw, (at, kernel) => this.refused(at, kernel));
    // `nft -a` shows the handles of what the kernel has.
    const comments = tokens.comments.filter((comment) => !/^# handle \d+\s*$/.test(comment.image));
    this.r = startReading({ ...tokens, comments }, (at, _code, message, label) =>
      this.leaveOut(at, label === undefined || label === "" ? message : `${message}: ${label}`),
    );
  }

  run(): Script {
    const { r } = this;
    for (skipSeparators(r); peek(r) !== undefined; skipSeparators(r)) {
      const before = r.at;
      this.attempt(() => this.command());
      if (r.at === before) r.at++;
    }
    const tail = [...r.comments.above(r.tokens.all.length), ...this.pending.splice(0)];
    return { ruleSet: this.ruleSet, tail: tail.at(-1) === null ? tail.slice(0, -1) : tail };
  }

  // What goes wrong.

  private attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refused(error.at!, error.message);
    }
  }

  private leaveOut(span: Span, why: string): void {
    this.report.leftOut(span, why);
    this.pending.push(`not imported (${why}): ${lineText(this, span.start)}`);
  }

  private refused(span: Span, kernel: string): void {
    this.report.refused(span, kernel);
    this.pending.push(`fails (${kernel}): ${lineText(this, span.start)}`);
  }

  /** The node with the comments above its command, and what was left out so far. */
  private noted<T extends Node>(node: T, first?: number): T {
    const above = first === undefined ? [] : this.r.comments.above(first);
    const own = node.comments ?? [];
    const comments = [
      ...above.filter((line) => line === null || !own.includes(line)),
      ...own,
      ...this.pending.splice(0),
    ];
    return comments.length === 0 ? node : { ...node, comments };
  }

  /** The comments above a command that leaves nothing of itself go to the next that does; `#!` is not one. */
  private keepComments(first: number): void {
    for (const line of this.r.comments.above(first))
      if (line !== null && !line.startsWith("!")) this.pending.push(line);
  }

  // Commands.

  private command(): void {
    const { r } = this;
    const first = r.at;
    const verb = peek(r)!;
    switch (verb.image) {
      case "add":
      case "create":
        r.at++;
        this.add(first, verb.image === "create");
        return;
      case "insert":
        r.at++;
        if (peek(r)?.image === "rule") r.at++;
        this.addRule(first, true);
        return;
      case "delete":
      case "destroy":
        this.keepComments(first);
        r.at++;
        this.delete(verb);
        return;
      case "flush":
        this.keepComments(first);
        r.at++;
        this.flush(verb);
        return;
      case "include":
        takeStatement(r);
        this.leaveOut(
          spanOfTokens(verb),
          "`include` is not followed: put the files together, or import them one by one",
        );
        return;
      default:
        this.add(first, false);
    }
  }

  private add(first: number, exclusive: boolean): void {
    const { r } = this;
    const word = peek(r);
    const kind = kindOf(word?.image);
    if (word?.image === "table") {
      this.addTable(first, exclusive);
    } else if (word?.image === "rule") {
      r.at++;
      this.addRule(first, false);
    } else if (word?.image === "element") {
      this.keepComments(first);
      this.addElements();
    } else if (kind !== undefined) {
      this.addItem(first, word!, exclusive);
    } else {
      takeStatement(r);
      const at = word ?? r.tokens.all[r.at - 1];
      this.leaveOut(spanOfTokens(at), `\`${at.image}\` is not a command that vrfc knows`);
    }
  }

  /** `[FAMILY] NAME`; undefined (and told) when there is none. */
  private tableName(): TableName | undefined {
    const { r } = this;
    const word = peek(r);
    const given = word !== undefined && FAMILIES.has(word.image) ? takeName(r, "a family") : undefined;
    const name = takeName(r, "the name of a table");
    return name && { family: given ?? { value: "ip", span: name.span }, name };
  }

  /** The `table` keyword, with or without a block. */
  private addTable(first: number, exclusive: boolean): void {
    const { r } = this;
    r.at++;
    const name = this.tableName();
    if (name === undefined) return;
    const head: Node = { span: { start: spanOfTokens(r.tokens.all[first]).start, end: name.name.span.end } };
    if (!isA(peek(r), P.LBrace)) {
      takeStatement(r);
      this.ruleSet.addTable(name, this.noted(head, first), exclusive);
      return;
    }
    // So that a refusal inside does not lose the table, and a table that is there keeps its items.
    const table = this.ruleSet.addTable(name, head, exclusive);
    const inside = block(r, () => this.tableLine(table));
    if (inside === undefined) return;
    const node = this.noted(whole(r, first, inside));
    const { comments } = node;
    if (comments) table.comments = [...(table.comments ?? []), ...comments];
    const { tail } = tailOf(inside);
    if (tail) table.tail = [...(table.tail ?? []), ...tail];
    if (node.trailing !== undefined) table.trailing = node.trailing;
    if (node.blankBefore) table.blankBefore = true;
    if (table.span === head.span) table.span = node.span;
  }

  private tableLine(table: TableDraft): Node | undefined {
    const { r } = this;
    const word = peek(r)!;
    const note = takeNote(r);
    if (note !== undefined) {
      if (note !== "") table.comments = [...(table.comments ?? []), note];
      return undefined;
    }
    if (NO_OBJECT.has(word.image) || isA(word, K.Flags)) {
      takeStatement(r);
      this.leaveOut(spanOfTokens(word), `\`${word.image}\` is not supported`);
      return undefined;
    }
    const item = tableItem(r);
    if (item === undefined) return undefined;
    this.attempt(() => addItem(table, this.noted(item)));
    return item;
  }

  /** `chain TABLE NAME { ... }` and its like: from the keyword on. */
  private addItem(first: number, keyword: NftToken, exclusive: boolean): void {
    const { r } = this;
    r.at++;
    const name = this.tableName();
    if (name === undefined) return;
    const table = this.orSkip(() => this.ruleSet.table(name));
    const isBare = keyword.image === "chain" && !isA(peek(r, 1), P.LBrace);
    const item = isBare ? this.bareChain() : this.blockItem(keyword);
    if (item !== undefined) addItem(table, this.noted(item, first), exclusive);
  }

  private bareChain(): TableItem | undefined {
    const { r } = this;
    const name = takeName(r, "the name of a chain");
    if (name === undefined) return undefined;
    takeStatement(r);
    return { kind: "chain", span: name.span, name, rules: [] };
  }

  private blockItem(keyword: NftToken): TableItem | undefined {
    const { r } = this;
    if (isA(peek(r, 1), P.LBrace) || keyword.image === "set" || keyword.image === "map") {
      r.at--; // where the keyword would be
      return itemOfKind(r, keyword);
    }
    const name = takeName(r, "a name");
    if (name === undefined) return undefined;
    const statement = takeStatement(r);
    const node = { span: name.span, name };
    if (keyword.image === "limit") {
      const rate = parseStatement(r, statement, (p) => p.rate);
      return rate && { kind: "limit", ...node, rate };
    }
    const counts = statement.length === 0 ? undefined : parseStatement(r, statement, (p) => p.counts);
    return { kind: "counter", ...node, packets: counts?.packets ?? null, bytes: counts?.bytes ?? null };
  }

  /** `TABLE CHAIN [index N] RULE` */
  private addRule(first: number, isInsert: boolean): void {
    const { r } = this;
    const name = this.tableName();
    const chainName = name && takeName(r, "the name of a chain");
    if (name === undefined || chainName === undefined) return;
    const chain = this.orSkip(() => findChain(this.ruleSet.table(name), chainName));
    const place = this.rulePlace(isInsert);
    if (place === undefined) return;
    const rule = readRule(r);
    if (rule === undefined) return;
    if (place.index > chain.rules.length) throw new Refused("No such file or directory", chainName.span);
    const at = place.isEnd ? chain.rules.length : place.index;
    chain.rules.splice(at, 0, this.noted(rule, first));
  }

  /** Before which rule; told and undefined when it is said by what only a running kernel knows. */
  private rulePlace(isInsert: boolean): { index: number; isEnd: boolean } | undefined {
    const { r } = this;
    const word = peek(r);
    if (word?.image === "index") {
      const index = Number(wordOf(peek(r, 1) ?? word));
      r.at += 2;
      return { index: isInsert ? index : index + 1, isEnd: false };
    }
    if (word?.image === "handle" || word?.image === "position") {
      takeStatement(r);
      this.leaveOut(spanOfTokens(word), "handles are known to the kernel only");
      return undefined;
    }
    return { index: 0, isEnd: !isInsert };
  }

  private addElements(): void {
    const { r } = this;
    r.at++;
    const name = this.tableName();
    const setName = name && takeName(r, "the name of a set");
    if (name === undefined || setName === undefined) return;
    const set = this.orSkip(() => findSet(this.ruleSet.table(name), setName));
    const said = parseStatement(r, takeStatement(r), (p) => p.set);
    for (const one of said?.elements ?? []) set.elements.push(one);
  }

  private delete(verb: NftToken): void {
    const { r } = this;
    const word = peek(r);
    const kind = kindOf(word?.image);
    r.at++;
    if (word?.image === "table") {
      const name = this.tableName();
      const isThere = name !== undefined && this.orSkip(() => this.ruleSet.table(name), verb.image === "destroy");
      if (isThere) this.ruleSet.deleteTable(name);
      takeStatement(r);
    } else if (kind !== undefined) {
      const name = this.tableName();
      const itemName = name && takeName(r, "a name");
      if (itemName === undefined) return;
      const table = this.orSkip(() => this.ruleSet.table(name!));
      takeStatement(r);
      deleteItem(table, kind, itemName);
    } else {
      r.at--;
      takeStatement(r);
      this.leaveOut(spanOfTokens(word ?? verb), "only tables and what they hold by name can be taken away");
    }
  }

  private flush(verb: NftToken): void {
    const { r } = this;
    const word = peek(r);
    r.at++;
    if (word?.image === "ruleset") {
      const family = peek(r);
      this.ruleSet.flush(family !== undefined && FAMILIES.has(family.image) ? family.image : undefined);
    } else {
      this.flushItem(word ?? verb);
    }
    takeStatement(r);
  }

  private flushItem(word: NftToken): void {
    const { r } = this;
    const name = word.image === "table" || kindOf(word.image) !== undefined ? this.tableName() : undefined;
    if (name === undefined) {
      this.leaveOut(spanOfTokens(word), "`flush` of what vrfc does not know");
      return;
    }
    const table = this.orSkip(() => this.ruleSet.table(name));
    if (word.image === "table") {
      for (const item of table.items) if (item.kind === "chain") item.rules = [];
      return;
    }
    const itemName = takeName(r, "a name");
    if (itemName === undefined) return;
    const item = this.orSkip(() => findItem(table, kindOf(word.image)!, itemName));
    if (item.kind === "chain") item.rules = [];
    else if (item.kind === "set" || item.kind === "map") item.elements = [];
  }

  /** What is refused is skipped to its end. */
  private orSkip<T>(find: () => T): T;
  private orSkip<T>(find: () => T, mayFail: boolean): T | undefined;
  private orSkip<T>(find: () => T, mayFail = false): T | undefined {
    try {
      return find();
    } catch (error) {
      takeStatement(this.r);
      if (mayFail && error instanceof Refused) return undefined;
      throw error;
    }
  }
}
