/** Base chains: type, hook, device, priority by number or name, policy. */
import type { Name } from "../../ast.ts";
import type * as Nft from "../../chain-ast.ts";
import type { BaseChain, ChainHook, TableFamily } from "../../chain-model.ts";
import { suggest } from "../../suggest.ts";
import { requireDevice } from "../names.ts";
import type { FilterDraft } from "./scope.ts";

export const IP_HOOKS: readonly ChainHook[] = ["prerouting", "input", "forward", "output", "postrouting"];
export const DEVICE_HOOKS: ReadonlyMap<string, ChainHook> = new Map([
  ["ingress", "netdev ingress"],
  ["egress", "netdev egress"],
]);

/** enum nf_ip_hook_priorities, by nft's names; some belong to one hook. */
export const PRIORITIES: ReadonlyMap<string, { readonly value: number; readonly hook?: ChainHook }> = new Map<
  string,
  { value: number; hook?: ChainHook }
>([
  ["raw", { value: -300 }],
  ["mangle", { value: -150 }],
  ["dstnat", { value: -100, hook: "prerouting" }],
  ["filter", { value: 0 }],
  ["security", { value: 50 }],
  ["srcnat", { value: 100, hook: "postrouting" }],
]);

/** Null after an error. */
export function baseChain(
  { net, report }: FilterDraft,
  family: TableFamily,
  node: Nft.BaseChain,
  policyName: Name | undefined,
): BaseChain | null {
  const device = DEVICE_HOOKS.get(node.hook.value);
  const hook = family === "netdev" ? device : IP_HOOKS.find((one) => one === node.hook.value);
  if (hook === undefined) {
    const known = family === "netdev" ? [...DEVICE_HOOKS.keys()] : IP_HOOKS;
    const meant = suggest(node.hook.value, known);
    report.error("E0400", node.hook.span, `family \`${family}\` has no hook \`${node.hook.value}\``, {
      label: node.hook.value === "ingress" ? "chains of devices stand in a table of family `netdev`" : known.join(", "),
      kernel: "Error: unknown chain hook",
      help:
        meant === null ? [] : [{ message: `did you mean \`${meant}\`?`, edit: { span: node.hook.span, text: meant } }],
    });
    return null;
  }
  const type = chainType(node.type.value, hook);
  if (type === null) {
    report.error("E0400", node.type.span, `chains of type \`${node.type.value}\` are not supported here`, {
      label: node.type.value === "nat" ? "there is no connection tracking" : "`filter`, and at output `route`",
    });
    return null;
  }
  const priority = priorityOf(node.priority.value, hook);
  if (priority === null) {
    report.error("E0400", node.priority.span, `\`${node.priority.value}\` is no priority at ${hook}`, {
      label: `a number, or ${[...PRIORITIES.keys()].join(", ")}, and an offset: \`filter + 10\``,
    });
    return null;
  }
  if (policyName !== undefined && policyName.value !== "accept" && policyName.value !== "drop") {
    report.error("E0400", policyName.span, `no policy \`${policyName.value}\``, { label: "`accept` or `drop`" });
    return null;
  }
  const isDevice = family === "netdev";
  if (isDevice !== node.devices.length > 0) {
    report.error("E0400", node.hook.span, isDevice ? `${hook} is a device's hook` : `${hook} is not a device's hook`, {
      label: isDevice ? "expected `device NAME`" : "leave out the device",
    });
    return null;
  }
  const devices = node.devices.map((name) => requireDevice(net, name, report)?.ifindex);
  if (devices.some((one) => one === undefined)) return null;
  const policy = policyName?.value === "drop" ? "drop" : "accept";
  return { type, hook, devices: devices.filter((one) => one !== undefined), priority, policy };
}

const chainType = (type: string, hook: ChainHook): BaseChain["type"] | null =>
  type === "filter" ? "filter" : type === "route" && hook === "output" ? "route" : null;

const MAX_PRIORITY = 0x7fffffff;

/** `-150`, `filter`, `filter + 10`, `filter-10`. */
function priorityOf(text: string, hook: ChainHook): number | null {
  const [, name = "", sign = "", digits = ""] = /^([a-z]*)\s*([+-]?)\s*(\d*)$/.exec(text.trim()) ?? [];
  if (name === "" && digits === "") return null;
  if (name !== "" && (sign === "") !== (digits === "")) return null;
  const named = name === "" ? { value: 0 } : PRIORITIES.get(name);
  if (named === undefined || (named.hook !== undefined && named.hook !== hook)) return null;
  if (hook.startsWith("netdev") && name !== "" && name !== "filter") return null;
  const offset = digits === "" ? 0 : Number(digits) * (sign === "-" ? -1 : 1);
  const priority = named.value + offset;
  return Math.abs(priority) <= MAX_PRIORITY ? priority : null;
}
