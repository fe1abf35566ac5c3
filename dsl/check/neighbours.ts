/** Permanent neighbour entries: `neighbour 10.0.0.7 lladdr 02:.. dev veth1` (kernel net/core/neighbour.c `neigh_add`). */
import { familyOf, formatIp } from "../../runtime/net/ip.ts";
import type { Neighbour } from "../ast.ts";
import type { NetDraft } from "./draft.ts";
import { definedAt, requireDevice } from "./names.ts";
import type { Reporter } from "./report.ts";

export function addNeighbour(net: NetDraft, neighbour: Neighbour, report: Reporter): void {
  const device = requireDevice(net, neighbour.dev, report);
  if (device === undefined) return;
  const address = neighbour.address.value;
  const key = `${device.ifindex} ${address} ${familyOf(address)}`;
  const earlier = net.neighbours.get(key);
  if (earlier !== undefined) {
    report.error("E0280", neighbour.address.span, `${formatIp(address)} already has an entry on \`${device.name}\``, {
      label: "given again",
      ...definedAt(earlier.origin.span, "first given here"),
      kernel: "RTNETLINK answers: File exists",
    });
    return;
  }
  net.neighbours.set(key, {
    address,
    mac: neighbour.lladdr.value,
    device: device.ifindex,
    origin: { span: neighbour.span },
  });
}
