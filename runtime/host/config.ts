/**
 * What the host side of one network namespace must know that is not a packet decision: its devices, their addresses
 * and a few sysctls. Plain JSON (addresses as text), stored in the artifact's manifest; the lab derives the same from a
 * model when it runs the reference.
 */
export interface NetConfig {
  readonly name: string;
  readonly devices: readonly DeviceConfig[];
  readonly neighbours: readonly { readonly device: number; readonly address: string; readonly mac: string }[];
  /** IPv6 routes that name a source address (`src`), as the column `route` has them: RouteId + 1. */
  readonly prefsrcRoutes6: readonly number[];
  /** IPv6 routes without a gateway, of fewer than 127 bits: RouteId + 1 and the first address of the prefix. */
  readonly onLinkRoutes6: readonly { readonly route: number; readonly address: string }[];
  readonly sysctl: {
    readonly tcpL3mdevAccept: boolean;
    readonly udpL3mdevAccept: boolean;
    readonly rawL3mdevAccept: boolean;
    readonly ipDefaultTtl: number;
    readonly icmpEchoIgnoreAll: boolean;
    readonly icmpEchoIgnoreBroadcasts: boolean;
    readonly icmpErrorsUseInboundIfaddr: boolean;
  };
}

export interface DeviceConfig {
  readonly ifindex: number;
  readonly name: string;
  readonly kind: "loopback" | "veth" | "dummy" | "vrf";
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** The VRF's ifindex for a slave, 0 otherwise. */
  readonly master: number;
  /** In the kernel's order; `prefixLength` in bits, `scope` as RT_SCOPE_*. */
  readonly addresses: readonly {
    readonly address: string;
    readonly prefixLength: number;
    readonly scope: number;
    readonly secondary: boolean;
    /** The other end of a point-to-point address, where it is not the address itself. */
    readonly peer?: string;
  }[];
  /** net.ipv6.conf.DEVICE.forwarding: this end of the link is a router. */
  readonly forwarding6: boolean;
  /** IN_DEV_BFORWARD: directed broadcasts that come in by this device are forwarded (bc_forwarding). */
  readonly forwardsBroadcasts: boolean;
  /** Subnet-router anycast addresses (RFC 4291 section 2.6.1) that the device has joined. */
  readonly anycast: readonly string[];
  /** The other end of a veth: namespace index and ifindex. */
  readonly peer: { readonly net: number; readonly ifindex: number } | null;
}

/** First of net.ipv4.ip_local_port_range. The kernel draws at random; here the ports are taken in order. */
export const FIRST_EPHEMERAL_PORT = 32768;
