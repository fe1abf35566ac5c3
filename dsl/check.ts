/**
 * AST -> Model: the kernel's control plane as small named checks, one idea a file under dsl/check/.
 *
 *   gather     which namespaces there are and what belongs to each
 *   devices    names, kinds, indexes, masters, wires        as if all had been created first, in text order
 *   sysctls    then the settings
 *   addresses  then the addresses, and the routes the kernel makes of them
 *   routes     then routes, rules and nexthop objects in text order, as if entered line by line
 *   tests      for each test the same once more with what it adds
 *
 * A finding never stops the checks; the model is null only when there are errors.
 */
import type { File, KernelDecl, Test } from "./ast.ts";
import { assignAddresses } from "./check/addresses.ts";
import { checkChains } from "./check/chains.ts";
import type { DeviceSpec, MachineDevice, MacPool } from "./check/devices.ts";
import { collectDevices, createDevices, enslave } from "./check/devices.ts";
import type { NetDraft } from "./check/draft.ts";
import { createNet } from "./check/draft.ts";
import { finishNet } from "./check/finish.ts";
import type { NamespaceItems } from "./check/gather.ts";
import { gatherNamespaces } from "./check/gather.ts";
import { addKernelRoutes } from "./check/kernel-routes.ts";
import { lint } from "./check/lints.ts";
import { requireTable } from "./check/names.ts";
import { addNeighbour } from "./check/neighbours.ts";
import { addNextHopObject } from "./check/nexthop-objects.ts";
import type { Reporter } from "./check/report.ts";
import { createReporter, removal } from "./check/report.ts";
import type { ReadFile } from "./check/route-files.ts";
import { addRoutesFrom } from "./check/route-files.ts";
import { addRoute } from "./check/routes.ts";
import { addKernelRules, applyRule } from "./check/rules.ts";
import { applySysctls, checkStrictMode } from "./check/sysctls.ts";
import { checkTestNames, testStep } from "./check/tests.ts";
import { joinWires } from "./check/wires.ts";
import type { Diagnostic } from "./diagnostic.ts";
import type { KernelProfile, Model, Net, TestCase, TestStep } from "./model.ts";
import { KERNEL_PROFILES } from "./model.ts";
import type { Source } from "./span.ts";

export interface CheckOptions {
  /** Overrides the file's `kernel`. */
  readonly kernel?: KernelProfile;
  /** Reads what `routes from` names; may throw. Without it such a line is an error. */
  readonly readFile?: ReadFile;
  /** Devices of the machine that the text is for: what it does not say of them, they say. */
  readonly machine?: Machine;
}

/** The devices of a namespace as they really are. */
export interface Machine {
  readonly namespace: string;
  readonly devices: ReadonlyMap<string, MachineDevice>;
}

export interface CheckResult {
  /** Null only when a diagnostic is an error. */
  readonly model: Model | null;
  /** In text order. */
  readonly diagnostics: readonly Diagnostic[];
}

const DEFAULT_KERNEL: KernelProfile = "6.1";

export function check(file: File, source: Source, options: CheckOptions = {}): CheckResult {
  const report = createReporter(source);
  const kernel = options.kernel ?? kernelOf(file, report);
  const read = options.readFile && cached(options.readFile);
  const build = (test: Test | null) =>
    buildNets(gatherNamespaces(file, test, report), kernel, read, report, options.machine);
  const nets = build(null);
  const tests = file.items.filter((item): item is Test => item.kind === "test");
  checkTestNames(tests, report);
  const cases = tests.map((test) => testCase(test, test.additions.length > 0 ? build(test) : null, nets, report));
  const diagnostics = [...report.diagnostics].sort((a, b) => a.primary.span.start - b.primary.span.start);
  const failed = diagnostics.some((d) => d.severity === "error");
  return { model: failed ? null : { source, kernel, nets, tests: cases }, diagnostics };
}

function kernelOf(file: File, report: Reporter): KernelProfile {
  const declarations = file.items.filter((item): item is KernelDecl => item.kind === "kernel");
  const profiles = declarations.map(({ version }) => {
    const profile = KERNEL_PROFILES.find((p) => p === version.value);
    if (profile === undefined) {
      const nearest = profileOf(version.value);
      report.error("E0200", version.span, `no kernel profile "${version.value}"`, {
        label: '"5.4" (to 5.17), "6.1" (5.18 to 6.14) or "6.15" (and later)',
        help: nearest
          ? [
              {
                message: `Linux ${version.value} behaves as "${nearest}"`,
                edit: { span: version.span, text: `"${nearest}"` },
              },
            ]
          : [],
      });
    }
    return profile;
  });
  if (declarations.length > 1) {
    report.error("E0200", declarations[1].span, "the kernel is chosen twice", {
      label: "chosen again",
      secondary: [{ span: declarations[0].span, message: "chosen here" }],
      help: [{ message: "remove one of the two", edit: removal(report.source, declarations[1].span) }],
    });
  }
  return profiles[0] ?? DEFAULT_KERNEL;
}

/** The profile of a release such as "5.10" or "6.12.3". */
function profileOf(release: string): KernelProfile | undefined {
  const match = /^(\d+)\.(\d+)(\.|$)/.exec(release);
  if (match === null) return undefined;
  const version = Number(match[1]) * 1000 + Number(match[2]);
  return version < 5018 ? "5.4" : version < 6015 ? "6.1" : "6.15";
}

function cached(read: ReadFile): ReadFile {
  const files = new Map<string, ReturnType<ReadFile>>();
  return (path) => files.get(path) ?? files.set(path, read(path)).get(path)!;
}

function buildNets(
  namespaces: readonly NamespaceItems[],
  kernel: KernelProfile,
  read: ReadFile | undefined,
  report: Reporter,
  machine?: Machine,
): Net[] {
  const nets = namespaces.map(({ name }, index) => createNet(name, index, kernel));
  const specs = namespaces.map((namespace) => collectDevices(namespace, report));
  const macs: MacPool = { taken: new Set() };
  for (const net of nets) {
    const real = machine?.namespace === net.name ? machine.devices : undefined;
    createDevices(net, specs[net.index], macs, report, real);
  }
  for (const net of nets) enslave(net, specs[net.index], report);
  joinWires(nets, specs, report);
  for (const net of nets) {
    applySysctls(net, namespaces[net.index], report);
    checkStrictMode(net, report);
  }
  for (const net of nets) addKernelRoutes(nets, net, assignAddresses(nets, net, specs[net.index], report));
  for (const net of nets) enterItems(net, namespaces[net.index], specs[net.index], read, report);
  return nets.map(finishNet);
}

/** What the text says about routing, as if entered line by line after the devices are there. */
function enterItems(
  net: NetDraft,
  { items }: NamespaceItems,
  specs: Map<string, DeviceSpec>,
  read: ReadFile | undefined,
  report: Reporter,
): void {
  addKernelRules(net);
  for (const { item } of items) {
    if (item.kind === "nexthop" && !net.nexthopSpans.has(item.id.value))
      net.nexthopSpans.set(item.id.value, item.id.span);
  }
  for (const { item } of items) {
    if (item.kind === "route") addRoute(net, item, null, { span: item.span }, report);
    else if (item.kind === "rule") applyRule(net, item, report);
    else if (item.kind === "nexthop") addNextHopObject(net, item, report);
    else if (item.kind === "neighbour") addNeighbour(net, item, report);
    else if (item.kind === "table") {
      const table = requireTable(net, item.name, report);
      if (table === undefined) continue;
      for (const entry of item.routes) {
        if (entry.kind === "route") addRoute(net, entry, table, { span: entry.span }, report);
        else addRoutesFrom(net, entry, table, read, report);
      }
    }
  }
  net.netfilter = checkChains(
    net,
    items.map(({ item }) => item),
    report,
  );
  lint(net, specs, report);
}

function testCase(test: Test, nets: readonly Net[] | null, base: readonly Net[], report: Reporter): TestCase {
  const steps = test.steps.map((step) => testStep(nets ?? base, step, report));
  return { name: test.name.value, nets, steps: steps.filter((s): s is TestStep => s !== undefined), span: test.span };
}
