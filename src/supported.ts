/** What the checker understands and an engine does not run yet: said before anything is run, so that nothing is left out. */
import type { Diagnostic } from "../dsl/diagnostic.ts";
import type { Model, Net, Origin } from "../dsl/model.ts";
import { NO_SPAN, type Span } from "../dsl/span.ts";
import type { EngineKind } from "./engines.ts";
import { leadsTo, reached, referenceOnly } from "./netfilter/reach.ts";

/** One error for each network whose packets would meet what the engine does not run. */
export function unsupported(model: Model, engine: EngineKind = "compiled"): Diagnostic[] {
  const nets = [...model.nets, ...model.tests.flatMap((test) => test.nets ?? [])];
  const spans = new Set<number>();
  return nets.flatMap((net) => {
    const span = engine === "reference" ? rejectsOnDevice(net) : notCompiled(net);
    if (span === undefined || spans.has(span.start)) return [];
    spans.add(span.start);
    return [
      {
        code: "E0100",
        severity: "error" as const,
        message:
          engine === "reference"
            ? "`reject` at netdev hooks is checked, but packets are not run through it yet"
            : "`reject` at netdev hooks, and chains and programs with `fib`, `fwd`, `dup`, `type route` or IPv4 options, are checked, but not compiled yet",
        primary: { span, message: "would be left out" },
        secondary: [],
        help: [
          {
            message:
              "`vrfc check`, `fmt` and `dump --stage model` understand them, and `--engine reference` runs all but `reject` at netdev hooks",
          },
        ],
      },
    ];
  });
}

/** Chains and programs with statements that the compiler does not do yet. */
function notCompiled(net: Net): Span | undefined {
  const { hooks, programs } = net.netfilter;
  const roots = [
    ...hooks.flatMap((hook) => hook.chains),
    ...programs.flatMap(({ rules }) => leadsTo(net.netfilter, rules)),
  ];
  const first = [...reached(net.netfilter, roots), ...programs].find(referenceOnly);
  return rejectsOnDevice(net) ?? spanOf(first);
}

/** Answers that would leave a device without a route (nft_reject_netdev_eval). */
function rejectsOnDevice({ netfilter: { chains, tables } }: Net): Span | undefined {
  return spanOf(
    chains.find(
      ({ table, rules }) =>
        tables[table].family === "netdev" && rules.some(({ steps }) => steps.some(({ kind }) => kind === "reject")),
    ),
  );
}

const spanOf = (found: { readonly origin: Origin } | undefined): Span | undefined =>
  found && (found.origin.span ?? NO_SPAN);
