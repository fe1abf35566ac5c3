/** What the checker understands and no engine runs yet: said before anything is run, so that nothing is left out. */
import type { Diagnostic } from "../dsl/diagnostic.ts";
import type { Model, Net, Origin } from "../dsl/model.ts";
import { NO_SPAN, type Span } from "../dsl/span.ts";
import type { EngineKind } from "./engines.ts";

/** One error for each network whose packets would meet what the engine does not run. */
export function unsupported(model: Model, _engine: EngineKind = "compiled"): Diagnostic[] {
  const nets = [...model.nets, ...model.tests.flatMap((test) => test.nets ?? [])];
  const spans = new Set<number>();
  return nets.flatMap((net) => {
    const span = rejectsOnDevice(net);
    if (span === undefined || spans.has(span.start)) return [];
    spans.add(span.start);
    return [
      {
        code: "E0100",
        severity: "error" as const,
        message: "`reject` at netdev hooks is checked, but packets are not run through it yet",
        primary: { span, message: "would be left out" },
        secondary: [],
        help: [{ message: "`vrfc check`, `fmt` and `dump --stage model` understand it" }],
      },
    ];
  });
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
