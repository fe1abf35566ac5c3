/** The host side's view of a model: what the lab runs with, and what an artifact's manifest holds. */
import type { Device, Net } from "../dsl/model.ts";
import type { DeviceConfig, NetConfig } from "../runtime/host/config.ts";
import { formatIp } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";

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
