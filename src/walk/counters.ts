/** The counters of chains and programs that a packet met: what they say now, and where they stand in the text. */
import type { Counter } from "../../dsl/chain-model.ts";
import type { Net } from "../../dsl/model.ts";
import type { Source } from "../../dsl/span.ts";
import type { RuleCounter } from "../../runtime/engine.ts";
import { shortName } from "../../runtime/maps/names.ts";
import type { Painter } from "../cli/colour.ts";
import { namedOf } from "../netfilter/maps.ts";
import { originOf, type WalkOrigin } from "./line.ts";
import { originText } from "./render.ts";

export interface CounterLine {
  /** Null: of a rule. */
  readonly name: string | null;
  readonly packets: number;
  readonly bytes: number;
  readonly origin: WalkOrigin;
}

/** @param counted by id; those that say what they said at first are left out */
export function counterLines({ netfilter }: Net, counted: readonly RuleCounter[], source: Source): CounterLine[] {
  const named = netfilter.counters.map((counter) => namedOf(netfilter, counter));
  return netfilter.counters.flatMap((counter, i) =>
    differs(counter, counted[i])
      ? [
          {
            name: shortName(named, named[i]),
            packets: Number(counted[i].packets),
            bytes: Number(counted[i].bytes),
            origin: originOf({ span: counter.span }, source),
          },
        ]
      : [],
  );
}

const differs = (a: Counter, b: RuleCounter): boolean => a.packets !== b.packets || a.bytes !== b.bytes;

/** Below the walk; nothing where nothing was counted. */
export function renderCounters(title: string, lines: readonly CounterLine[], paint: Painter): string {
  const texts = lines.map(({ name, packets, bytes }) => `${name ?? "counter"} packets ${packets} bytes ${bytes}`);
  const width = Math.max(0, ...texts.map((text) => text.length));
  const said = lines.map(({ origin }, i) => `               ${texts[i].padEnd(width)}  (${originText(origin)})\n`);
  return said.length === 0 ? "" : `${paint.strong(title)}\n${said.join("")}`;
}
