/**
 * Wires: `peer NAMESPACE DEVICE` joins two veth ends. Either end may leave it out; where both say it they must agree.
 */
import type { Name } from "../ast.ts";
import type { DeviceSpec } from "./devices.ts";
import { propertyOf } from "./devices.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { deviceByName, hasCarrier } from "./draft.ts";
import { didYouMean, requireDevice } from "./names.ts";
import type { Reporter } from "./report.ts";

/** One `peer` as said at one end. */
interface Claim {
  readonly net: NetDraft;
  readonly device: DeviceDraft;
  readonly to: { readonly net: NetDraft; readonly device: DeviceDraft };
  readonly peer: { readonly namespace: Name; readonly device: Name };
}

export function joinWires(
  nets: readonly NetDraft[],
  specs: readonly Map<string, DeviceSpec>[],
  report: Reporter,
): void {
  const claims = nets.flatMap((net) =>
    [...specs[net.index].values()].flatMap((spec) => claimOf(nets, net, spec, report)),
  );
  for (const claim of claims) {
    const rival = claims.find((c) => contradicts(c, claim));
    if (rival === undefined) connect(claim);
    else if (claims.indexOf(rival) < claims.indexOf(claim)) reportRivals(rival, claim, report);
  }
  for (const net of nets) for (const device of net.devices) device.carrier = hasCarrier(nets, device);
}

const end = (net: NetDraft, device: DeviceDraft): string => `${net.name} ${device.name}`;

function claimOf(nets: readonly NetDraft[], net: NetDraft, spec: DeviceSpec, report: Reporter): Claim[] {
  const device = deviceByName(net, spec.name.value);
  const peer = propertyOf(spec, "peer");
  if (peer === undefined || device?.kind !== "veth") return [];
  const other = nets.find((n) => n.name === peer.namespace.value);
  if (other === undefined) {
    report.error("E0201", peer.namespace.span, `no namespace \`${peer.namespace.value}\` in this file`, {
      label: "the wire ends nowhere",
      ...didYouMean(
        peer.namespace,
        nets.map((n) => n.name),
      ),
    });
    return [];
  }
  const target = requireDevice(other, peer.device, report);
  if (target === undefined) return [];
  if (target.kind !== "veth" || target === device) {
    const why = target === device ? "a wire has two ends" : `\`${target.name}\` is a ${target.kind} device`;
    report.error("E0220", peer.device.span, `\`${device.name}\` cannot be wired to \`${end(other, target)}\``, {
      label: why,
      secondary: target !== device && target.nameSpan ? [{ span: target.nameSpan, message: "defined here" }] : [],
    });
    return [];
  }
  return [{ net, device, to: { net: other, device: target }, peer }];
}

/** Two claims about a common end that do not name the same two ends. */
function contradicts(a: Claim, b: Claim): boolean {
  if (a === b) return false;
  const common = a.to.device === b.device || a.device === b.to.device || a.to.device === b.to.device;
  const same = a.device === b.to.device && a.to.device === b.device;
  return common && !same;
}

function reportRivals(first: Claim, second: Claim, report: Reporter): void {
  const message = `\`${end(second.net, second.device)}\` and \`${end(first.net, first.device)}\` disagree about their wires`;
  const back = first.to.device === second.device;
  report.error("E0221", second.peer.device.span, message, {
    label: `says the other end is \`${end(second.to.net, second.to.device)}\``,
    secondary: [
      { span: first.peer.device.span, message: `says the other end is \`${end(first.to.net, first.to.device)}\`` },
    ],
    help: back
      ? [
          {
            message: `name \`${end(first.net, first.device)}\` in both`,
            edit: {
              span: { start: second.peer.namespace.span.start, end: second.peer.device.span.end },
              text: end(first.net, first.device),
            },
          },
        ]
      : [],
  });
}

function connect({ net, device, to }: Claim): void {
  device.peer = { net: to.net.index, ifindex: to.device.ifindex };
  to.device.peer = { net: net.index, ifindex: device.ifindex };
}
