/**
 * `vrfc import ip-json`: the network of a live machine, rebuilt from what `ip -j` prints of it.
 *
 *   importDump = devices, wires, settings, addresses                     put in place as they are
 *             -> next hops and routes, entered as `ip route` would       each as soon as Linux would take it
 *             -> rules, and those of the kernel that are gone
 *             -> neighbours
 *             -> emit, check, compare the kernel's own routes            mend what differs, emit again
 *
 * A dump has forgotten the order of its commands. Routes whose gateway needs another route wait for that; what Linux would
 * refuse in any order (the route to the gateway has gone since) gets `onlink`, which changes nothing once a route is there.
 */
import type { File } from "../../../dsl/ast.ts";
import { check } from "../../../dsl/check.ts";
import type { Diagnostic, Severity } from "../../../dsl/diagnostic.ts";
import type { Source, Span } from "../../../dsl/span.ts";
import type { Family } from "../../../runtime/net/ip.ts";
import type { ImportCode } from "../codes.ts";
import { emitNetwork } from "../emit.ts";
import { runIp } from "../ip.ts";
import { removeRule } from "../rules.ts";
import { Run, type Setting } from "../run.ts";
import { NetNs, Network, type RuleEntry } from "../state.ts";
import { setSysctl } from "../sysctl.ts";
import { Refused, Unsupported } from "../words.ts";
import { addAddresses, addDevices, addNeighbours, joinWires, type Teller } from "./devices.ts";
import { type Dump, type Entry, listOf, type NamespaceDump, nameOf, numberOf, textOf } from "./form.ts";
import { compareKernelRoutes, dropPrefixRoutes, isKernels, kernelRouteText, netNamed } from "./kernel-routes.ts";
import { settingsOf } from "./settings.ts";
import { gatewayOf, nexthopWords, routeWords, ruleWords, typeOf } from "./words.ts";

export interface DumpImportOptions {
  /** A router whose dump has no sysctls is taken to forward. Default true. */
  readonly assumeForwarding?: boolean;
}

export interface DumpImport {
  /** The entries of the dump, a line each: what the AST's and the diagnostics' spans point into. */
  readonly source: Source;
  readonly ast: File;
  readonly diagnostics: readonly Diagnostic[];
}

/** Imports a dump. Never throws. */
export function importDump(dump: Dump, name = "dump", options: DumpImportOptions = {}): DumpImport {
  const importer = new DumpImporter(dump, options);
  const ast = importer.run(name);
  return { source: importer.source(name), ast, diagnostics: importer.diagnostics };
}

/** A line that is to become a command of iproute2. */
interface Pending {
  readonly object: "nexthop" | "route" | "rule";
  readonly family: Family;
  readonly words: string;
  readonly hasGateway: boolean;
}

class DumpImporter implements Teller {
  readonly diagnostics: Diagnostic[] = [];
  private text = "";
  private readonly options: DumpImportOptions;
  private readonly setting: Setting;
  private readonly spaces: { readonly ns: NetNs; readonly dump: NamespaceDump }[];

  constructor(dump: Dump, options: DumpImportOptions) {
    this.options = options;
    const network = new Network({ start: 0, end: 0 });
    this.setting = { network, readFile: () => undefined, isCreated: () => true, assumeDevices: false };
    this.spaces = [...dump].map(([name, sections]) => ({ ns: this.namespace(name), dump: sections }));
  }

  private namespace(name: string): NetNs {
    const { network } = this.setting;
    if (name === ".") return network.root;
    const ns = new NetNs({ value: name, span: this.line(`netns ${name}`) }, false);
    network.namespaces.push(ns);
    return ns;
  }

  source(name: string): Source {
    return { name, text: this.text };
  }

  run(name: string): File {
    const devices = this.spaces.flatMap(({ ns, dump }) => addDevices(ns, dump, this));
    joinWires(devices, this);
    for (const space of this.spaces) {
      this.missing(space);
      this.settings(space);
      addAddresses(space.ns, space.dump, this);
      this.routes(space);
      this.rules(space);
      addNeighbours(space.ns, space.dump, this);
    }
    const ast = this.file();
    return this.mendKernelRoutes(ast, name) ? this.file() : ast;
  }

  private file(): File {
    const { network } = this.setting;
    return { kind: "file", span: { start: 0, end: this.text.length }, items: emitNetwork(network, new Set()) };
  }

  // ---- telling --------------------------------------------------------------------------------------------------------

  line(text: string): Span {
    const start = this.text.length;
    this.text += `${text}\n`;
    return { start, end: start + text.length };
  }

  warn(message: string, at: Span): void {
    this.report("W0506", "warning", message, at);
  }

  private report(code: ImportCode, severity: Severity, message: string, span: Span, kernel?: string): void {
    const diagnostic: Diagnostic = {
      code,
      severity,
      message,
      primary: { span, message: "" },
      secondary: [],
      help: [],
      ...(kernel === undefined ? {} : { kernel }),
    };
    this.diagnostics.push(diagnostic);
  }

  private missing({ ns, dump }: { ns: NetNs; dump: NamespaceDump }): void {
    for (const [section, what] of [
      ["addr", "without it no device has an address"],
      ["rule", "the kernel's own IPv4 rules are taken"],
      ["rule6", "the kernel's own IPv6 rules are taken"],
      ["route", "no IPv4 routes are taken but those of addresses"],
      ["route6", "no IPv6 routes are taken but those of addresses"],
    ] as const)
      if (dump[section] === undefined)
        this.warn(`the dump of \`${ns.name.value}\` has no \`${section}\`: ${what}`, ns.name.span);
  }

  // ---- settings -------------------------------------------------------------------------------------------------------

  private settings({ ns, dump }: { ns: NetNs; dump: NamespaceDump }): void {
    const run = new Run(this.setting, ns, ns.name.span);
    const set = (key: string, value: string) => setSysctl(run, key, value, this.line(`sysctl ${key} = ${value}`));
    if (dump.sysctl !== undefined) {
      for (const [key, value] of settingsOf(ns, dump.sysctl)) set(key, value);
      return;
    }
    if (isForwarding6(dump)) set("net.ipv6.conf.all.forwarding", "1");
    const isRouter = ns.devices.some((device) => device.kind === "vrf") || ns.devices.length > 2;
    const assumes = isRouter && (this.options.assumeForwarding ?? true);
    if (assumes) set("net.ipv4.ip_forward", "1");
    const forwards = assumes ? "; IPv4 forwarding is taken to be on" : "";
    this.warn(
      `the dump of \`${ns.name.value}\` has no \`sysctl\`: settings such as rp_filter are taken as a kernel starts with them${forwards}`,
      ns.name.span,
    );
  }

  // ---- next hops, routes, rules -----------------------------------------------------------------------------------------

  private routes({ ns, dump }: { ns: NetNs; dump: NamespaceDump }): void {
    const nexthops = (dump.nexthop ?? []).map((entry) => nexthopOf(entry, dump));
    const routes = ([4, 6] as const).flatMap((family) => routesOf(dump, family));
    // What needs no other route comes first.
    const pending = [...nexthops, ...routes].sort((a, b) => Number(a.hasGateway) - Number(b.hasGateway));
    const refused = this.enterAll(ns, pending);
    const onlink = refused.map((entry) => (entry.hasGateway ? { ...entry, words: `${entry.words} onlink` } : entry));
    for (const entry of this.enterAll(ns, onlink)) this.refused(ns, entry);
  }

  /** Enters what can be entered, again and again until nothing more can; returns the rest. */
  private enterAll(ns: NetNs, all: readonly Pending[]): Pending[] {
    let rest = [...all];
    for (let before = rest.length + 1; rest.length < before; ) {
      before = rest.length;
      rest = rest.filter((entry) => !this.enter(ns, entry));
    }
    return rest;
  }

  private enter(ns: NetNs, entry: Pending): boolean {
    const start = this.text.length;
    try {
      this.command(ns, entry);
      return true;
    } catch (error) {
      if (!(error instanceof Refused) && !(error instanceof Unsupported)) throw error;
      this.text = this.text.slice(0, start);
      return false;
    }
  }

  /** Runs `ip OBJECT add WORDS`; routes are appended, so that several of one key keep their order. */
  private command(ns: NetNs, { object, family, words }: Pending): void {
    const verb = object === "route" && family === 4 ? "append" : "add";
    // A group has no family of its own.
    const options = words.includes(" group ") ? "" : `-${family} `;
    const texts = `${options}${object} ${verb} ${words}`.split(" ");
    const whole = this.line(`${object} ${words}`);
    const run = new Run(this.setting, ns, whole);
    runIp(
      run,
      texts.map((text) => ({ text, span: whole })),
      noProgram,
      noProgram,
    );
    const { leftOut, remarks } = run.results;
    if (leftOut.length > 0)
      this.report(
        "W0502",
        "warning",
        `\`${leftOut.map(({ text }) => text).join(" ")}\` has no counterpart in vrfc`,
        whole,
      );
    for (const { span, secondary, ...remark } of remarks)
      this.diagnostics.push({ ...remark, primary: { span, message: "" }, secondary, help: [] });
  }

  private refused(ns: NetNs, entry: Pending): void {
    const start = this.text.length;
    try {
      this.command(ns, entry);
    } catch (error) {
      const at = { start, end: this.text.length - 1 };
      if (error instanceof Refused)
        this.report("W0501", "warning", "not imported: Linux would refuse it now", at, error.message.trim());
      else if (error instanceof Unsupported) this.report("W0501", "warning", `not imported: ${error.message}`, at);
      else throw error;
    }
  }

  private rules({ ns, dump }: { ns: NetNs; dump: NamespaceDump }): void {
    for (const [family, list] of [
      [4, dump.rule],
      [6, dump.rule6],
    ] as const) {
      if (list === undefined) continue;
      const own = ns.rules[family].filter((rule) => rule.isKernel);
      const entered = [...list];
      for (const rule of own) {
        const at = entered.findIndex((entry) => isKernelRule(entry, rule));
        if (at >= 0) entered.splice(at, 1);
        else removeRule(ns, rule, this.line(`rule gone: ${rule.pref}`));
      }
      for (const entry of entered) {
        const pending: Pending = { object: "rule", family, words: ruleWords(entry), hasGateway: false };
        if (!this.enter(ns, pending)) this.refused(ns, pending);
      }
    }
  }

  // ---- the kernel's own routes ------------------------------------------------------------------------------------------

  /** True when something was mended. */
  private mendKernelRoutes(ast: File, name: string): boolean {
    const { model, diagnostics } = check(ast, this.source(name));
    if (model === null) {
      this.diagnostics.push(...diagnostics.filter(({ severity }) => severity === "error"));
      return false;
    }
    let mended = false;
    for (const { ns, dump } of this.spaces) {
      const net = netNamed(model, ns);
      if (net === undefined) continue;
      const { more, missing } = compareKernelRoutes(net, dump, this.setting.network.tables);
      mended ||= more.length > 0 || missing.length > 0;
      const stay = dropPrefixRoutes(ns, net, missing);
      for (const route of stay)
        this.warn(`the machine has lost a route of its own, vrfc has it: ${kernelRouteText(net, route)}`, ns.name.span);
      const pending = more.map(({ route, family }) => pendingRoute(route, family));
      for (const entry of this.enterAll(ns, pending)) this.refused(ns, entry);
    }
    return mended;
  }
}

const noProgram = (): void => {};

const routesOf = (dump: NamespaceDump, family: Family): Pending[] =>
  ((family === 4 ? dump.route : dump.route6) ?? [])
    .filter((route) => !isKernels(route))
    .map((route) => pendingRoute(route, family));

const pendingRoute = (route: Entry, family: Family): Pending => ({
  object: "route",
  family,
  words: routeWords(route, family),
  hasGateway: gatewayOf(route) !== undefined || listOf(route, "nexthops").some((hop) => gatewayOf(hop) !== undefined),
});

/** What is printed of a next hop without gateway does not tell its family: an IPv6 route that uses it does. */
function nexthopOf(entry: Entry, dump: NamespaceDump): Pending {
  const gateway = gatewayOf(entry);
  const id = numberOf(entry, "id");
  const groups = (dump.nexthop ?? []).filter((other) => listOf(other, "group").some((member) => member.id === id));
  const ids = new Set([id, ...groups.map((group) => numberOf(group, "id"))]);
  const isUsedBy6 = (dump.route6 ?? []).some((route) => "nhid" in route && ids.has(numberOf(route, "nhid")));
  const family: Family = gateway?.includes(":") || (gateway === undefined && isUsedBy6) ? 6 : 4;
  return { object: "nexthop", family, words: nexthopWords(entry), hasGateway: gateway !== undefined };
}

/** One of the rules that are there without a command. */
function isKernelRule(entry: Entry, rule: RuleEntry): boolean {
  if (numberOf(entry, "priority") !== rule.pref) return false;
  const said = Object.keys(entry).filter((key) => !["priority", "src", "table", "l3mdev", "protocol"].includes(key));
  if (said.length > 0 || (textOf(entry, "src") ?? "all") !== "all") return false;
  const table = nameOf(entry, "table");
  if (rule.node.l3mdev) return "l3mdev" in entry;
  return !("l3mdev" in entry) && (table === TABLE_NAMES.get(rule.table) || table === `${rule.table}`);
}
const TABLE_NAMES = new Map([
  [255, "local"],
  [254, "main"],
  [253, "default"],
]);

/** Only a router has subnet-router anycast addresses (RFC 4291 section 2.6.1), and the routes for them. */
const isForwarding6 = (dump: NamespaceDump): boolean =>
  (dump.route6 ?? []).some((route) => typeOf(route) === "anycast" && isKernels(route));
