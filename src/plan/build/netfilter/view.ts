/**
 * A chain is compiled once for each way in which packets come to it: what the view settles (the IP family, where the packet's
 * bytes start) is then constant in its code, and a rule for the other family of an `inet` table disappears.
 */
import type { ChainHook, HookChains } from "../../../../dsl/chain-model.ts";
import type { ProgramHook } from "../../../../runtime/hooks.ts";

/**
 * `ip` and `ip6`: at the hooks of the IP layer; the others at the hooks of a device, where frames pass. `ingress`: what is seen starts
 * at the network header; `egress`, and XDP: at the Ethernet header; `tc`, at ingress: there too, a tag held aside left out.
 */
export type View = "ip" | "ip6" | "ingress" | "tc" | "egress";

export const isDeviceView = (view: View): boolean => view !== "ip" && view !== "ip6";

export function viewOf({ hook, family }: Pick<HookChains, "hook" | "family">): View {
  return family === null ? deviceView(hook) : family === 4 ? "ip" : "ip6";
}

const deviceView = (hook: ChainHook): View => (hook === "netdev egress" ? "egress" : "ingress");

export const programView = (hook: ProgramHook): View => (hook === "tc ingress" ? "tc" : "egress");
