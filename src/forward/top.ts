/** Two readings of a forwarder's counters as rates, and these as a page. */
import type { Reading } from "./counters.ts";

export interface Rate {
  readonly name: string;
  readonly perSecond: number;
  readonly total: number;
}

export interface DeviceRate {
  readonly name: string;
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
  /** Frames that it did not take, in all. */
  readonly lost: number;
}

/** A second's worth of everything. */
export interface Rates {
  readonly devices: readonly DeviceRate[];
  readonly groups: readonly { readonly title: string; readonly rates: readonly Rate[] }[];
}

export function rates(before: Reading, after: Reading): Rates {
  const seconds = Math.max(1e-3, (after.time - before.time) / 1000);
  const group = (title: string, counted: (reading: Reading) => readonly (readonly [string, number])[]) => {
    const earlier = new Map(counted(before));
    const of = ([name, total]: readonly [string, number]): Rate => ({
      name,
      total,
      perSecond: (total - (earlier.get(name) ?? 0)) / seconds,
    });
    return { title, rates: counted(after).map(of) };
  };
  const packets = (list: readonly { readonly name: string; readonly packets: number }[]) =>
    list.map(({ name, packets: count }) => [name, count] as const);
  const earlier = new Map(before.devices.map((device) => [device.name, device]));
  return {
    devices: after.devices.map(({ name, lost, ...now }) => {
      const then = earlier.get(name);
      const rate = (key: keyof typeof now): number => (now[key] - (then?.[key] ?? 0)) / seconds;
      const [rxPackets, rxBytes] = [rate("rxPackets"), rate("rxBytes")];
      return { name, lost, rxPackets, rxBytes, txPackets: rate("txPackets"), txBytes: rate("txBytes") };
    }),
    groups: [
      group("hook", ({ hooks }) => Object.entries(hooks)),
      group("verdict", ({ verdicts }) => Object.entries(verdicts)),
      group("dropped because", ({ reasons }) => Object.entries(reasons)),
      group("rule's counter", ({ rules }) => packets(rules)),
      group("route", ({ routes }) => packets(routes)),
    ],
  };
}

/** Of a group, the busiest. */
const MOST_LINES = 12;
const NAME_WIDTH = 44;
const COLUMN_WIDTH = 12;

export function renderTop({ devices, groups }: Rates): string {
  const lines = [row("device", "rx packet/s", "rx Mbit/s", "tx packet/s", "tx Mbit/s", "lost")];
  for (const { name, rxPackets, rxBytes, txPackets, txBytes, lost } of devices)
    lines.push(row(name, whole(rxPackets), megabits(rxBytes), whole(txPackets), megabits(txBytes), `${lost}`));
  for (const { title, rates: list } of groups) {
    const seen = list.filter(({ total }) => total > 0);
    if (seen.length === 0) continue;
    lines.push("", row(title, "packet/s", "packets"));
    const busiest = [...seen].sort((a, b) => b.perSecond - a.perSecond || b.total - a.total).slice(0, MOST_LINES);
    for (const { name, perSecond, total } of busiest) lines.push(row(name, whole(perSecond), `${total}`));
    if (busiest.length < seen.length) lines.push(`... and ${seen.length - busiest.length} more`);
  }
  return `${lines.join("\n")}\n`;
}

const row = (name: string, ...cells: readonly string[]): string =>
  `${name.padEnd(NAME_WIDTH)}${cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join("")}`;
const whole = (value: number): string => `${Math.round(value)}`;
const megabits = (bytes: number): string => ((bytes * 8) / 1e6).toFixed(2);
