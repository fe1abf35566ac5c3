/**
 * `vrfc import SCRIPT`: a shell script that sets up a network with iproute2, as vrfc.
 *
 *   importScript = readScript -> for each statement: run it against the state -> emit
 *
 * The network of the file is the state at the first ping. Each ping becomes (part of) a test, named after the comment
 * above it; what commands add between pings is added by the tests that follow. What Linux refuses has no effect, what vrfc
 * cannot say is left out; both are reported with their line and kept as comments, as are the script's own comments.
 */
import type { File, Namespace, Ping, Sysctl, Test } from "../../dsl/ast.ts";
import type { Diagnostic, Label, Severity } from "../../dsl/diagnostic.ts";
import type { Source, Span } from "../../dsl/span.ts";
import type { ImportCode } from "./codes.ts";
import { runCommand } from "./commands.ts";
import { emitAdditions, emitNetwork, lostSince, type Snapshot, takeSnapshot } from "./emit.ts";
import { parsePing } from "./ping.ts";
import { type PingRequest, Run, type Setting } from "./run.ts";
import { readScript, type Statement } from "./shell.ts";
import { Network, type Noted, ROOT } from "./state.ts";
import { Refused, Unsupported } from "./words.ts";

export interface ImportOptions {
  /** A router's script that never mentions forwarding is taken to run on a machine that forwards. Default true. */
  readonly assumeForwarding?: boolean;
  /** Devices of the root namespace that the script uses and never creates are taken as the machine's. Default true. */
  readonly assumeDevices?: boolean;
  /** Pings are expected to be answered. Default true; otherwise they are run and shown. */
  readonly expectReplies?: boolean;
  /** Reads what `ip -batch FILE` names; undefined: there is no such file. Default: no files. */
  readonly readFile?: (name: string) => string | undefined;
}

export interface ImportResult {
  /** Its spans are places in the script. */
  readonly ast: File;
  /** In the order of the script. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Imports a script. Never throws, whatever the text. */
export function importScript(source: Source, options: ImportOptions = {}): ImportResult {
  const importer = new Importer(source, options);
  for (const statement of readScript(source.text)) importer.take(statement);
  return importer.finish();
}

type Command = Extract<Statement, { kind: "command" }>;

/** A line for above the next thing: a comment of the script, or a line that did not become anything. */
interface Line {
  readonly text: string;
  readonly isComment: boolean;
}

class Importer {
  private readonly source: Source;
  private readonly options: ImportOptions;
  private readonly setting: Setting;
  private readonly diagnostics: Diagnostic[] = [];
  private pending: Line[] = [];
  /** What the last command made, for a comment at the end of its line. */
  private lastTouched: Noted | null = null;
  private readonly annotated: Noted[] = [];
  private succeeded = true;
  private isStarted = false;
  private mentionsForwarding = false;
  /** Set at the first ping. */
  private base: { readonly snapshot: Snapshot; readonly namespaces: Namespace[] } | null = null;
  private readonly seen = new Set<Noted>();
  private lost = new Map<Noted, string>();
  private readonly tests: Test[] = [];
  private readonly testNames = new Set<string>();
  /** A command since the last ping: the next ping starts a test of its own. */
  private isTestOpen = false;

  constructor(source: Source, options: ImportOptions) {
    this.source = source;
    this.options = options;
    this.setting = {
      network: new Network({ start: 0, end: 0 }),
      readFile: options.readFile ?? (() => undefined),
      isCreated: createdNames(source.text),
      assumeDevices: options.assumeDevices ?? true,
    };
  }

  take(statement: Statement): void {
    switch (statement.kind) {
      case "blank":
        this.blank();
        return;
      case "comment":
        this.comment(statement);
        return;
      case "unreadable":
        this.isStarted = true;
        this.report("W0501", "warning", `not imported: ${statement.why}`, statement.span);
        this.keep("not imported", statement.why, statement.span);
        return;
      case "command":
        this.command(statement);
        return;
    }
  }

  finish(): ImportResult {
    this.takeBase();
    const namespaces = this.assumeForwarding(this.base?.namespaces ?? []);
    const orphans = this.annotated.filter((noted) => !this.seen.has(noted)).flatMap(takeComments);
    const tail = [...orphans, ...this.pending.map((line) => line.text)];
    const ast: File = {
      kind: "file",
      span: { start: 0, end: this.source.text.length },
      items: [...namespaces, ...this.tests],
      ...(tail.length > 0 ? { tail } : {}),
    };
    return { ast, diagnostics: this.diagnostics };
  }

  // ---- comments ---------------------------------------------------------------------------------------------------

  /** Comments above a blank line, before anything is done, are about the whole file. */
  private blank(): void {
    if (!this.isStarted) this.attach(this.setting.network.root);
  }

  private comment({ text, span, trailing }: Extract<Statement, { kind: "comment" }>): void {
    if (span.start === 0 && text.startsWith("!")) return;
    const line = text.replace(/^ /, "");
    if (trailing && this.lastTouched !== null && this.lastTouched.trailing === undefined && this.base === null)
      this.lastTouched.trailing = line;
    else this.pending.push({ text: line, isComment: true });
  }

  /** The text of a line that became nothing, as a comment. */
  private keep(what: string, why: string, span: Span): void {
    const [first, ...rest] = this.source.text.slice(span.start, span.end).split("\n");
    const lines = rest.length === 0 ? [`${what} (${why}): ${first.trim()}`] : [`${what} (${why}):`, first, ...rest];
    this.pending.push(...lines.map((text) => ({ text: text.trimEnd(), isComment: false })));
  }

  /** Before the first ping, waiting lines go to what a command has made; after it, to the test that follows. */
  private attach(noted: Noted | undefined): void {
    this.lastTouched = noted ?? null;
    if (noted === undefined || this.base !== null) return;
    noted.comments.push(...this.pending.splice(0).map((line) => line.text));
    this.annotated.push(noted);
  }

  // ---- commands ---------------------------------------------------------------------------------------------------

  private command(command: Command): void {
    if (command.when === "failure" && this.succeeded) return;
    if (command.when === "success" && !this.succeeded) {
      this.report("W0501", "warning", "not imported: the command before `&&` fails", command.span);
      this.keep("not imported", "the command before && fails", command.span);
      return;
    }
    const run = new Run(this.setting, this.setting.network.root, command.span);
    this.succeeded = this.attempt(command, () => runCommand(run, command));
    for (const { span, ...remark } of run.results.remarks) {
      this.diagnostics.push({ ...remark, primary: { span, message: "" }, help: [] });
      if (remark.code === "W0501") this.keep("not imported", remark.message, command.span);
    }
    if (this.succeeded && run.results.leftOut.length > 0) this.reportLeftOut(command.span, run.results.leftOut);
    this.mentionsForwarding ||= this.setting.network.namespaces.some((ns) =>
      ns.sysctls.some(({ key }) => /forward/.test(key.value)),
    );
    this.isStarted ||= !this.succeeded || run.results.touched.length > 0;
    this.attach(this.succeeded ? run.results.touched[0] : undefined);
    this.reportLost(command.span);
    for (const ping of run.results.pings) this.attempt(command, () => this.ping(ping, command));
    if (run.results.pings.length === 0) this.isTestOpen = false;
  }

  /** Runs one command or ping; what it throws is reported and its line kept. */
  private attempt(command: Command, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (error instanceof Refused) this.reportRefused(command, error);
      else if (error instanceof Unsupported) {
        this.report("W0501", "warning", `not imported: ${error.message}`, error.at ?? command.span, error.because);
        this.keep("not imported", error.message, command.span);
      } else throw error;
      return false;
    }
  }

  private reportRefused(command: Command, error: Refused): void {
    const isExpected =
      command.mayFail ||
      command.redirects.some(({ fd, target }) => ["2", "&"].includes(fd) && target.text === "/dev/null");
    const kernel = error.message.trim();
    const short = kernel.replace(/^(RTNETLINK answers|Error): |\.$/g, "");
    const diagnostic = this.report(
      "E0501",
      isExpected ? "note" : "error",
      `this command fails here: ${short}`,
      error.at ?? command.span,
      error.because,
    );
    this.diagnostics[this.diagnostics.length - 1] = { ...diagnostic, kernel };
    this.keep("fails", kernel, command.span);
  }

  private reportLeftOut(span: Span, words: readonly { readonly text: string; readonly span: Span }[]): void {
    const text = words.map((word) => word.text).join(" ");
    this.report(
      "W0502",
      "warning",
      `\`${text}\` has no counterpart in vrfc; the rest of the command is imported`,
      words[0].span,
    );
    this.keep("left out", text, span);
  }

  private reportLost(span: Span): void {
    if (this.base === null) return;
    const lost = lostSince(this.base.snapshot, this.setting.network);
    const news = [...lost].filter(([noted]) => !this.lost.has(noted));
    this.lost = lost;
    if (news.length === 0) return;
    this.report("W0503", "warning", `not in the tests that follow: ${news[0][1]}`, span);
    this.keep("not imported", news[0][1], span);
  }

  private report(code: ImportCode, severity: Severity, message: string, span: Span, because?: Label): Diagnostic {
    const diagnostic = {
      code,
      severity,
      message,
      primary: { span, message: "" },
      secondary: because ? [because] : [],
      help: [],
    };
    this.diagnostics.push(diagnostic);
    return diagnostic;
  }

  // ---- pings and tests --------------------------------------------------------------------------------------------

  private ping(request: PingRequest, command: Command): void {
    const { pings, leftOut } = parsePing(request, command.span);
    if (leftOut.length > 0) this.reportLeftOut(command.span, leftOut);
    const isAsserted = (this.options.expectReplies ?? true) && !command.mayFail;
    const asked = pings.map((ping) => (isAsserted ? ping : withoutExpectation(ping)));
    // Whether the wait for the ping is over does not matter to the network: a ping never changes it.
    this.takeBase();
    const open = this.tests.at(-1);
    if (open && this.isTestOpen && this.pending.length === 0)
      this.tests[this.tests.length - 1] = { ...open, steps: [...open.steps, ...asked] };
    else this.openTest(asked, command);
    this.isTestOpen = true;
  }

  private openTest(pings: readonly Ping[], command: Command): void {
    const nameAt = this.pending.findLastIndex((line) => line.isComment && /\w/.test(line.text));
    const said = nameAt < 0 ? this.source.text.slice(command.span.start, command.span.end) : this.pending[nameAt].text;
    const comments = this.pending.splice(0).filter((_, i) => i !== nameAt);
    this.tests.push({
      kind: "test",
      span: command.span,
      name: { value: this.uniqueName(said.replace(/\s+/g, " ").trim()), span: command.span },
      additions: this.base ? emitAdditions(this.setting.network, this.base.snapshot) : [],
      steps: pings,
      blankBefore: true,
      ...(comments.length > 0 ? { comments: comments.map((line) => line.text) } : {}),
    });
  }

  private uniqueName(name: string): string {
    let unique = name;
    for (let i = 2; this.testNames.has(unique); i++) unique = `${name} (${i})`;
    this.testNames.add(unique);
    return unique;
  }

  /** Fixes the network of the file. */
  private takeBase(): void {
    if (this.base !== null) return;
    const { network } = this.setting;
    this.base = { namespaces: emitNetwork(network, this.seen), snapshot: takeSnapshot(network) };
  }

  /** `net.ipv4.ip_forward = 1` for a router whose script leaves it to the machine. */
  private assumeForwarding(namespaces: readonly Namespace[]): readonly Namespace[] {
    const host = namespaces.find((ns) => ns.name.value === ROOT);
    if (host === undefined || this.mentionsForwarding || !(this.options.assumeForwarding ?? true) || !isRouter(host))
      return namespaces;
    const span = { start: 0, end: 0 };
    this.report(
      "W0505",
      "note",
      "the script never sets net.ipv4.ip_forward: it is taken to run on a machine that forwards",
      span,
    );
    const assumed: Sysctl = {
      kind: "sysctl",
      span,
      comments: ["assumed: the script leaves it to the machine"],
      key: { value: "net.ipv4.ip_forward", span },
      setting: { value: "1", span },
    };
    const [first, ...rest] = host.items;
    const items = [assumed, ...(first.kind === "sysctl" ? [first] : [{ ...first, blankBefore: true }]), ...rest];
    return namespaces.map((ns) => (ns === host ? { ...host, items } : ns));
  }
}

const withoutExpectation = ({ expect: _expect, ...ping }: Ping): Ping => ping;

function takeComments(noted: Noted): string[] {
  return [...noted.comments.splice(0), ...(noted.trailing === undefined ? [] : [noted.trailing])];
}

/** A VRF, or two interfaces or more. */
const isRouter = (host: Namespace): boolean =>
  host.items.some((item) => item.kind === "vrf") ||
  host.items.filter((item) => item.kind === "interface" && item.name.value !== "lo").length > 1;

/**
 * The names that `ip link add` gives somewhere in the script. What follows `link`, `master` and `vrf` inside such a
 * command is another device.
 */
function createdNames(text: string): (name: string) => boolean {
  const names = new Set<string>();
  const collect = (words: readonly string[]) => {
    const start = words.findIndex((word) => word !== "" && "add".startsWith(word));
    if (start < 0 || !words.includes("type")) return;
    words.slice(start + 1).forEach((word, i) => {
      if (!["link", "master", "vrf", "type"].includes(words[start + i])) names.add(word);
    });
  };
  for (const statement of readScript(text)) {
    if (statement.kind !== "command") continue;
    collect(statement.words.map((word) => word.text));
    for (const { operator, target } of statement.redirects)
      if (operator === "<<") for (const line of target.text.split("\n")) collect(line.trim().split(/\s+/));
  }
  return (name) => names.has(name);
}
