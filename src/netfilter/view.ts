/**
 * A chain is compiled once for each way in which packets come to it: what the view settles (the IP family, where the packet's
 * bytes start) is then constant in its code, and a rule for the other family of an `inet` table disappears.
 */
import type { ChainHook, HookChains, MetaKey } from "../../dsl/chain-model.ts";
import type { ProgramHook } from "../../runtime/hooks.ts";
import { EtherType } from "../../runtime/net/ethernet.ts";

/**
 * `ip` and `ip6`: at the hooks of the IP layer; the others at the hooks of a device, where frames pass. `ingress`: what is seen starts
 * at the network header; the others: at the Ethernet header, `tc`, which is at ingress, and `egress` with a VLAN tag held aside.
 */
export const VIEWS = ["ip", "ip6", "ingress", "tc", "egress", "xdp"] as const;
export type View = (typeof VIEWS)[number];

export const isDeviceView = (view: View): boolean => view !== "ip" && view !== "ip6";

export function viewOf({ hook, family }: Pick<HookChains, "hook" | "family">): View {
  return family === null ? deviceView(hook) : family === 4 ? "ip" : "ip6";
}

const deviceView = (hook: ChainHook): View => (hook === "netdev egress" ? "egress" : "ingress");

const PROGRAM_VIEWS: Readonly<Record<ProgramHook, View>> = { xdp: "xdp", "tc ingress": "tc", "tc egress": "egress" };
export const programView = (hook: ProgramHook): View => PROGRAM_VIEWS[hook];

/** NFPROTO_* */
const NfProto: Readonly<Record<View, number>> = { ip: 2, ip6: 10, ingress: 5, tc: 5, egress: 5, xdp: 5 };

/** What is the same for all packets of a view; null: it is not. */
export function settledMeta(view: View, key: MetaKey): number | null {
  if (key === "nfproto") return NfProto[view];
  if (key === "protocol" && !isDeviceView(view)) return view === "ip" ? EtherType.IPV4 : EtherType.IPV6;
  return key === "sdif" && isDeviceView(view) ? 0 : null;
}

/** `ct state`: nobody tracks connections. */
export const IP_CT_UNTRACKED = 64;
