/** Where a rule is drawn, and the network's own names and addresses, of which rules speak. */
import { formatIp, type Ip } from "../../runtime/net/ip.ts";
import type { Random } from "../../src/bench/random.ts";
import { pick } from "./draw.ts";
import type { DrawnNetwork } from "./network.ts";

export type Family = "ip" | "ip6" | "inet" | "netdev";

export interface Place {
  readonly random: Random;
  readonly network: DrawnNetwork;
  readonly family: Family;
  /** Of the base chain; null: a regular chain. */
  readonly hook: string | null;
  /** Rules may change packets. */
  readonly writes: boolean;
}

const OUTGOING: readonly string[] = ["output", "postrouting", "egress"];
const INCOMING: readonly string[] = ["prerouting", "input", "ingress"];

/** Devices that a packet came in by, or leaves by, are known there. */
export const hasInput = ({ hook }: Place): boolean => hook === null || !OUTGOING.includes(hook);
export const hasOutput = ({ hook }: Place): boolean => hook === null || !INCOMING.includes(hook);
export const hasFamily = ({ family }: Place, version: 4 | 6): boolean => family !== (version === 4 ? "ip6" : "ip");

export const wire = ({ random, network }: Place): string => pick(random, network.devices).name;

export const anyDevice = ({ random, network }: Place): string =>
  pick(random, [...network.devices.map(({ name }) => name), ...network.vrfs, "lo"]);

export function address({ random, network: { own, neighbours, far } }: Place, version: 4 | 6): string {
  const some = [...own, ...neighbours, ...far].filter((ip) => (typeof ip === "bigint") === (version === 6));
  return formatIp(some.length === 0 ? ((version === 6 ? 1n : 1) as Ip) : pick(random, some));
}

export const prefix = (place: Place, version: 4 | 6): string =>
  `${address(place, version)}/${pick(place.random, version === 6 ? [48, 64, 112, 126, 127] : [8, 16, 24, 28, 31])}`;
