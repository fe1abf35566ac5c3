/** Stateful objects, with a name or in a rule: counters and limits. */

import type { Clause, Rate } from "../../chain-ast.ts";
import { type Counter, type CounterId, counterId, type Limit, type LimitId, limitId } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import { wordTable } from "../../word-table.ts";
import type { Reporter } from "../report.ts";
import type { TableScope } from "./scope.ts";

export function counterOf(scope: TableScope, node: Extract<Clause, { kind: "counter" }>): CounterId | null {
  const { counters, report } = scope.draft;
  if (node.name !== undefined) {
    const entry = scope.counters.get(node.name.value);
    if (entry !== undefined) return entry.counter.id;
    report.error("E0405", node.name.span, `no counter \`${node.name.value}\` in ${scope.label}`, {
      kernel: "Error: Could not process rule: No such file or directory",
    });
    return null;
  }
  const { packets, bytes, span } = node;
  return newCounter(scope, null, packets?.value ?? 0n, bytes?.value ?? 0n, span, counters).id;
}

export function newCounter(
  { index }: TableScope,
  name: string | null,
  packets: bigint,
  bytes: bigint,
  span: Span,
  counters: Counter[],
): Counter {
  const counter: Counter = { id: counterId(counters.length), table: index, name, packets, bytes, span };
  counters.push(counter);
  return counter;
}

const NANOSECONDS: Readonly<Record<string, bigint>> = wordTable({
  second: 1_000_000_000n,
  minute: 60_000_000_000n,
  hour: 3_600_000_000_000n,
  day: 86_400_000_000_000n,
  week: 604_800_000_000_000n,
});
const BYTE_UNITS: Readonly<Record<string, bigint>> = wordTable({ bytes: 1n, kbytes: 1024n, mbytes: 1048576n });
/** NFT_LIMIT_PKT_BURST_DEFAULT. */
const PACKET_BURST = 5n;
/** NFTA_LIMIT_BURST has 32 bits. */
const MAX_BURST = 0xffff_ffffn;

/** Null after an error. */
export function newLimit(scope: TableScope, rate: Rate, name: string | null): LimitId | null {
  const { report, limits } = scope.draft;
  const per = NANOSECONDS[rate.per.value];
  const scale = rate.unit === undefined ? 1n : BYTE_UNITS[rate.unit.value];
  if (per === undefined || scale === undefined || rate.amount.value === 0n) {
    report.error("E0402", rate.span, "this is no rate", {
      label: "`rate 10/second`, `rate 5 mbytes/minute burst 10 kbytes`",
    });
    return null;
  }
  const packets = rate.unit === undefined;
  const burst = burstOf(report, rate);
  if (burst === null) return null;
  const speed = rate.amount.value * scale;
  const max = packets ? (per / speed) * burst : per * (speed + burst);
  if (max >= 1n << 64n) {
    report.error("E0402", rate.span, "the rate is too high", {
      label: "its tokens do not fit into 64 bits",
      kernel: "Error: Could not process rule: Value too large for defined data type",
    });
    return null;
  }
  const limit: Limit = {
    id: limitId(limits.length),
    table: scope.index,
    name,
    unit: packets ? "packets" : "bytes",
    rate: speed,
    per,
    burst: Number(burst),
    over: rate.over,
    max: packets ? max : max / speed,
    span: rate.span,
  };
  limits.push(limit);
  return limit.id;
}

/** In the rate's own unit. Null after an error. */
function burstOf(report: Reporter, { unit, burst }: Rate): bigint | null {
  if (burst === undefined) return unit === undefined ? PACKET_BURST : 0n;
  const word = burst.unit?.value ?? (unit === undefined ? "packets" : "bytes");
  const said = { start: burst.amount.span.start, end: (burst.unit ?? burst.amount).span.end };
  if ((word === "packets") !== (unit === undefined)) {
    report.error("E0402", said, `a burst of ${word} does not go with a rate of ${unit?.value ?? "packets"}`);
    return null;
  }
  const value = burst.amount.value * (word === "packets" ? 1n : BYTE_UNITS[word]);
  const refusal =
    value > MAX_BURST
      ? "the burst is too large"
      : value === 0n && word === "packets"
        ? "a burst holds a packet at least"
        : null;
  if (refusal === null) return value;
  report.error("E0402", said, refusal, value === 0n ? { kernel: "Error: packet limit burst must be > 0" } : {});
  return null;
}
