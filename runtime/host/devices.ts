/**
 * The devices of a host and their addresses, as the address questions of net/ipv4/devinet.c need them. An l3mdev domain
 * is named by the ifindex of its VRF; 0 is the domain of all devices outside every VRF, `lo` among them.
 * The same questions for IPv6 are in ipv6/addresses.ts.
 */
import { type Ip, type Ipv4, type Ipv6, inPrefix, lastAddress, parseIp } from "../net/ip.ts";
import { type Mac, parseMac } from "../net/mac.ts";
import type { DeviceConfig, NetConfig } from "./config.ts";

/** Address scopes (k: RT_SCOPE_*): larger is nearer. */
export const AddressScope = { UNIVERSE: 0, LINK: 253, HOST: 254 } as const;

export interface HostAddress {
  readonly address: Ipv4;
  readonly prefixLength: number;
  readonly scope: number;
  readonly secondary: boolean;
}

export interface HostAddress6 {
  readonly address: Ipv6;
  readonly prefixLength: number;
}

export interface HostDevice extends Omit<DeviceConfig, "mac" | "addresses" | "anycast"> {
  readonly mac: Mac;
  /** IPv4 only, in the kernel's order. */
  readonly addresses: readonly HostAddress[];
  /** In the kernel's order: the widest scope first, in it the newest. */
  readonly addresses6: readonly HostAddress6[];
  /** Subnet-router anycast addresses. */
  readonly anycast: readonly Ip[];
  /** IFF_NOARP: frames need no neighbour, and ARP packets are ignored (lo, the VRF device, dummy). */
  readonly noArp: boolean;
}

export class Devices {
  readonly #devices: readonly HostDevice[];

  constructor(config: NetConfig) {
    this.#devices = config.devices.map(hostDevice);
  }

  get(ifindex: number): HostDevice | undefined {
    return this.#devices.find((device) => device.ifindex === ifindex);
  }

  named(name: string): HostDevice | undefined {
    return this.#devices.find((device) => device.name === name);
  }

  name(ifindex: number): string {
    return this.get(ifindex)?.name ?? `if${ifindex}`;
  }

  /** l3mdev_master_ifindex: the VRF of a slave or of the VRF itself, else 0. */
  l3mdevMaster(ifindex: number): number {
    const device = this.get(ifindex);
    if (device?.kind === "vrf") return ifindex;
    return this.get(device?.master ?? 0)?.kind === "vrf" ? (device?.master ?? 0) : 0;
  }

  /**
   * inet_addr_type_dev_table(...) == RTN_LOCAL, told from the addresses of the domain: all of loopback's networks are
   * local, of other devices the addresses themselves.
   */
  isLocal(address: Ipv4, domain: number): boolean {
    return this.ownerOf(address, domain) !== 0;
  }

  /** Is it a multicast address, 255.255.255.255, or the broadcast address of a subnet of the domain (inet_addr_type)? */
  isGroup(address: Ipv4, domain: number): boolean {
    if (address >>> 28 === 0xe || address === 0xffffffff) return true;
    return this.#inDomain(domain).some((device) =>
      device.addresses.some(
        ({ address: own, prefixLength }) =>
          prefixLength < 31 && lastAddress({ address: own, length: prefixLength }) === address,
      ),
    );
  }

  /** The device of the local route to an address of this host (FIB_RES_OIF), 0: not local. */
  ownerOf(address: Ipv4, domain: number): number {
    const owner = this.#inDomain(domain).find((device) =>
      device.addresses.some((a) =>
        device.kind === "loopback"
          ? inPrefix({ address: a.address, length: a.prefixLength }, address)
          : a.address === address,
      ),
    );
    return owner?.ifindex ?? 0;
  }

  /**
   * inet_select_addr: the source address to use on `ifindex` towards `destination` (0: anyone), of a scope not nearer than
   * `scope`: one in the destination's subnet, else the first of the device, of its VRF, or of any device of the domain.
   * @returns 0 when there is none
   */
  selectAddress(ifindex: number, destination: Ipv4, scope: number): Ipv4 {
    const own = (this.get(ifindex)?.addresses ?? []).filter(
      (a) => !a.secondary && Math.min(a.scope, AddressScope.HOST) <= scope,
    );
    const subnet = own.find(
      (a) => destination === 0 || inPrefix({ address: a.address, length: a.prefixLength }, destination),
    );
    const domain = this.l3mdevMaster(ifindex);
    const master = this.get(domain);
    const others = [...(master === undefined ? [] : [master]), ...this.#inDomain(domain)];
    return (
      (subnet ?? own[0] ?? others.map((device) => anyAddress(device, scope)).find((a) => a !== undefined))?.address ?? 0
    );
  }

  get all(): readonly HostDevice[] {
    return this.#devices;
  }

  #inDomain(domain: number): readonly HostDevice[] {
    return this.#devices.filter((device) => this.l3mdevMaster(device.ifindex) === domain);
  }
}

/** in_dev_select_addr: an address for another device to use; link-local ones stay on their link. */
const anyAddress = (device: HostDevice, scope: number): HostAddress | undefined =>
  device.addresses.find((a) => !a.secondary && a.scope !== AddressScope.LINK && a.scope <= scope);

function hostDevice(config: DeviceConfig): HostDevice {
  const addresses = config.addresses.flatMap((a) => {
    const address: Ip | null = parseIp(a.address);
    return typeof address === "number" ? [{ ...a, address }] : [];
  });
  const addresses6 = config.addresses.flatMap(({ address, prefixLength }) => {
    const ip = parseIp(address);
    return typeof ip === "bigint" ? [{ address: ip, prefixLength }] : [];
  });
  const anycast = config.anycast.map((address) => parseIp(address) ?? 0n);
  const mac = parseMac(config.mac) ?? 0;
  return { ...config, mac, addresses, addresses6, anycast, noArp: config.kind !== "veth" };
}
