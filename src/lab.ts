/** A lab from a model: every namespace with an engine of the wanted kind, and the host side configured as the model says. */
import type { Device, Model, Net } from "../dsl/model.ts";
import type { DeviceConfig, NetConfig } from "../runtime/host/config.ts";
import { createLab, type Lab, type LabOptions } from "../runtime/lab/lab.ts";
import { formatIp } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";
import { type EngineKind, openEngines } from "./engines.ts";

export interface OpenLabOptions extends LabOptions {
  /** Of the compiled engine; 2 by default. */
  readonly level?: 0 | 1 | 2;
}

export async function openLab(model: Model, kind: EngineKind, options: OpenLabOptions = {}): Promise<Lab> {
  const engines = await openEngines(model, kind, options.level);
  return createLab(
    model.nets.map((net, i) => ({ config: netConfig(net), engine: engines[i] })),
    options,
  );
}

/** What the host side must know of a namespace; the artifact's manifest holds the same. */
export function netConfig(net: Net): NetConfig {
  const { sysctl } = net;
  return {
    name: net.name,
    devices: net.devices.map(deviceConfig),
    neighbours: net.neighbours.map(({ device, address, mac }) => ({
      device,
      address: formatIp(address),
      mac: formatMac(mac),
    })),
    sysctl: {
      tcpL3mdevAccept: sysctl.tcpL3mdevAccept,
      udpL3mdevAccept: sysctl.udpL3mdevAccept,
      rawL3mdevAccept: sysctl.rawL3mdevAccept,
      ipDefaultTtl: sysctl.ipDefaultTtl,
      icmpEchoIgnoreAll: sysctl.icmpEchoIgnoreAll,
      icmpEchoIgnoreBroadcasts: sysctl.icmpEchoIgnoreBroadcasts,
      icmpErrorsUseInboundIfaddr: sysctl.icmpErrorsUseInboundIfaddr,
    },
  };
}

function deviceConfig(device: Device): DeviceConfig {
  const { ifindex, name, kind, mtu, up, master, peer } = device;
  const addresses = device.addresses.map(({ prefix, scope, secondary }) => ({
    address: formatIp(prefix.address),
    prefixLength: prefix.length,
    scope,
    secondary,
  }));
  return { ifindex, name, kind, mac: formatMac(device.mac), mtu, up, master, addresses, peer };
}
