/** The host side's view of a model: what the lab runs with, and what an artifact's manifest holds. */
import type { Device, Net, Route } from "../dsl/model.ts";
import type { DeviceConfig, NetConfig } from "../runtime/host/config.ts";
import { formatIp } from "../runtime/net/ip.ts";
import { formatMac } from "../runtime/net/mac.ts";
import { kernelAnycast } from "./reference/ipv6/anycast.ts";
import { rememberedOf } from "./remember.ts";

/** The same as long as only rules and chains are others. */
export function netConfig(net: Net): NetConfig {
  const { name, devices, neighbours, routes, sysctl } = net;
  return remembered(devices, [name, neighbours, routes, sysctl], () => configOf(net));
}

const remembered = rememberedOf<Net["devices"], NetConfig>(1);

function configOf(net: Net): NetConfig {
  const { sysctl } = net;
  return {
    name: net.name,
    devices: net.devices.map((device) => deviceConfig(device, net)),
    neighbours: net.neighbours.map(({ device, address, mac }) => ({
      device,
      address: formatIp(address),
      mac: formatMac(mac),
    })),
    prefsrcRoutes6: net.routes.filter((r) => r.family === 6 && r.prefsrc !== null).map(({ id }) => id + 1),
    onLinkRoutes6: net.routes
      .filter(isOnLink6)
      .map(({ id, prefix }) => ({ route: id + 1, address: formatIp(prefix.address) })),
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

function deviceConfig(device: Device, net: Net): DeviceConfig {
  const { ifindex, name, kind, mtu, up, master, peer } = device;
  const addresses = device.addresses.map(({ prefix, peer: other, scope, secondary }) => ({
    address: formatIp(prefix.address),
    prefixLength: prefix.length,
    scope,
    secondary,
    ...(other === prefix.address ? {} : { peer: formatIp(other) }),
  }));
  const { forwarding6, bcForwarding: forwardsBroadcasts } = device.conf;
  const anycast = kernelAnycast(net, device).map(formatIp);
  const own = { mac: formatMac(device.mac), addresses, forwarding6, forwardsBroadcasts, anycast };
  return { ifindex, name, kind, mtu, up, master, peer, ...own };
}

/** What ipv6_anycast_destination looks at: not RTF_GATEWAY, and more than a point-to-point link. */
const isOnLink6 = ({ family, prefix, nexthops }: Route): boolean =>
  family === 6 && prefix.length < 127 && nexthops.length > 0 && nexthops.every(({ gateway }) => gateway === null);
