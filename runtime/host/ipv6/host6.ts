/**
 * The IPv6 side of a host: what Linux does around the packet path for IPv6, as ../host.ts draws it.
 *
 *   LOCAL: deliver.ts     ICMP_ERROR: icmp6-send.ts     UNRESOLVED: ndisc.ts     FRAGMENT: fragment.ts     redirects: ndisc.ts
 */

import { Icmp6Type, TimeExceeded6, Unreachable6 } from "../../net/icmp6.ts";
import type { Ipv6 } from "../../net/ip.ts";
import { Ipv6View, isLinkLocal6 } from "../../net/ipv6.ts";
import type { Devices } from "../devices.ts";
import type { Judgement } from "../events.ts";
import type { Waiting } from "../neighbours.ts";
import type { Sockets } from "../sockets/sockets.ts";
import { isAddressOf, ownerOf6 } from "./addresses.ts";
import type { RawSocket6 } from "./deliver.ts";
import { deliver6 } from "./deliver.ts";
import { icmp6Send } from "./icmp6-send.ts";
import { ndiscRedirect } from "./ndisc.ts";
import { Reassembly } from "./reassembly.ts";
import type { LocalPacket6, Stack6 } from "./stack.ts";

export class Host6 {
  readonly #stack: Stack6;
  readonly #sockets: Sockets;
  readonly #reassembly: Reassembly;
  #raw: readonly RawSocket6[] = [];

  constructor(stack: Stack6, sockets: Sockets) {
    this.#stack = stack;
    this.#sockets = sockets;
    this.#reassembly = new Reassembly(stack.clock, (first) => this.#expired(first));
  }

  /** Those that have ended are forgotten. */
  addRaw(socket: RawSocket6): void {
    this.#raw = [...this.#raw.filter(({ isOpen }) => isOpen), socket];
  }

  /** Verdict LOCAL. @param flowDevice the device that the packet's flow was bound to or came in by, 0: none */
  deliver({ ip: bytes, skbDevice: device, sdif, routeType }: Judgement, groupFrame: boolean, flowDevice: number): void {
    const { devices } = this.#stack;
    const isLoopback = devices.get(device)?.kind === "loopback";
    const owner = isLoopback ? loopedBackBy(devices, new Ipv6View(bytes).destination, device, flowDevice) : 0;
    const packet = { bytes, device, receivedBy: sdif || owner || device, sdif, routeType, groupFrame };
    deliver6(this.#stack, { sockets: this.#sockets, raw: this.#raw, reassembly: this.#reassembly }, packet);
  }

  /** Verdict ICMP_ERROR. */
  icmpError({ ip: packet, error, info, skbDevice: device, sdif: receivedBy }: Judgement, groupFrame: boolean): void {
    icmp6Send(this.#stack, { packet, type: error >>> 8, code: error & 0xff, info, device, receivedBy, groupFrame });
  }

  /** The sender is told of a shorter way. @param packet as it was received */
  redirect(packet: Uint8Array, target: Ipv6, device: number): void {
    ndiscRedirect(this.#stack, { packet, target, device });
  }

  /** ip6_link_failure: skb->dev is the device that the packet was to leave by. */
  linkFailure(device: number, { packet, receivedBy }: Waiting): void {
    const [type, code] = [Icmp6Type.DEST_UNREACH, Unreachable6.ADDR_UNREACH];
    icmp6Send(this.#stack, { packet, type, code, info: 0, device, receivedBy, groupFrame: false });
  }

  #expired(packet: LocalPacket6): void {
    const [type, code] = [Icmp6Type.TIME_EXCEED, TimeExceeded6.FRAGMENT_TIME];
    icmp6Send(this.#stack, { ...packet, packet: packet.bytes, type, code, info: 0 });
  }
}

/** The device of the local route (rt6i_idev); that of a link-local address is the one that the flow was bound to, else one that has it. */
function loopedBackBy(devices: Devices, address: Ipv6, loopback: number, flowDevice: number): number {
  if (!isLinkLocal6(address)) return ownerOf6(devices, address, loopback);
  if (isAddressOf(devices.get(flowDevice), address)) return flowDevice;
  return devices.all.find((device) => isAddressOf(device, address))?.ifindex ?? 0;
}
