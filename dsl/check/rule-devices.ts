/** `iif` and `oif` of rules: which device, and whether the selector can match at all on the chosen kernel. */
import type { Family } from "../../runtime/net/ip.ts";
import type { Name } from "../ast.ts";
import type { RuleDevice } from "../model.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { deviceByName } from "./draft.ts";
import { didYouMean } from "./names.ts";
import type { Reporter } from "./report.ts";

interface Selector {
  readonly net: NetDraft;
  readonly family: Family;
  readonly word: "iif" | "oif";
  /** The rule is being taken away: it only has to be found. */
  readonly removed: boolean;
}

/** A device that does not exist is no error in Linux: the rule waits for it (`[detached]`). */
export function ruleDevice(selector: Selector, name: Name | undefined, report: Reporter): RuleDevice | null {
  if (name === undefined) return null;
  const { net, removed } = selector;
  const device = deviceByName(net, name.value);
  if (device === undefined && !removed) {
    const names = net.devices.map((d) => d.name);
    report.warning(
      "W0303",
      name.span,
      `no device \`${name.value}\` in namespace \`${net.name}\`: the rule never matches`,
      {
        label: "[detached]",
        ...didYouMean(name, names),
      },
    );
  }
  if (device !== undefined && !removed) lintVrfSelector(selector, name, device, report);
  return { name: name.value, ifindex: device?.ifindex ?? -1 };
}

/**
 * Kernel: `l3mdev_update_flow`: to 5.17 a slave in the flow is replaced by its VRF device; from 5.18 to 6.14 a VRF device in
 * `oif` is taken out, and received IPv4 packets keep their slave; since 6.15 both match (`fib_rule_iif_match`).
 */
function lintVrfSelector({ net, family, word }: Selector, name: Name, device: DeviceDraft, report: Reporter): void {
  if (net.kernel === "6.1" && device.kind === "vrf" && (family === 4 || word === "oif")) {
    report.warning(
      "W0304",
      name.span,
      `\`${word} ${name.value}\` never matches IPv${family} packets on Linux 5.18 to 6.14`,
      {
        label:
          word === "iif"
            ? "the look-up is done with the slave's index"
            : "the index of a VRF device is taken out of the look-up",
        help: [{ message: 'select by `l3mdev`, by the slaves, or choose `kernel "6.15"`' }],
      },
    );
  } else if (net.kernel === "5.4" && device.master !== 0) {
    report.warning("W0304", name.span, `\`${word} ${name.value}\` never matches up to Linux 5.17`, {
      label: "a slave's index is replaced by its VRF's before the rules",
      help: [{ message: "select by the VRF device" }],
    });
  }
}
