/** What the checker understands and the engines do not run yet: said before anything is run, so that nothing is left out. */
import type { Diagnostic } from "../dsl/diagnostic.ts";
import type { Model, Net } from "../dsl/model.ts";
import { NO_SPAN, type Span } from "../dsl/span.ts";

/** One error for each network whose packets would meet a chain or program. */
export function unsupported(model: Model): Diagnostic[] {
  const nets = [...model.nets, ...model.tests.flatMap((test) => test.nets ?? [])];
  const spans = new Set<number>();
  return nets.flatMap((net) => {
    const span = firstHook(net);
    if (span === undefined || spans.has(span.start)) return [];
    spans.add(span.start);
    return [
      {
        code: "E0100",
        severity: "error" as const,
        message: "chains and programs are checked, but packets are not run through them yet",
        primary: { span, message: "would be left out" },
        secondary: [],
        help: [{ message: "`vrfc check`, `fmt` and `dump --stage model` understand them" }],
      },
    ];
  });
}

function firstHook({ netfilter: { chains, programs } }: Net): Span | undefined {
  const hooked = [...chains.filter((chain) => chain.base !== null), ...programs][0];
  return hooked && (hooked.origin.span ?? NO_SPAN);
}
