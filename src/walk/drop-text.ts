/** Why the kernel freed a packet: the reason's name, and what it means where the steps before do not tell. */
import { DropReason, nameOf } from "../../runtime/verdict.ts";

type Name = keyof typeof DropReason;

const MEANING: Readonly<Partial<Record<Name, string>>> = {
  OTHERHOST: "the frame is addressed to another station",
  IP_CSUM: "the checksum of its IPv4 header is wrong",
  IP_INHDR: "its IP header is malformed",
  IP_RPFILTER: "the route to its source leads to another device (rp_filter)",
  UNICAST_IN_L2_MULTICAST: "the frame is to a group, the packet to one address",
  PKT_TOO_SMALL: "it is shorter than its header says",
  PKT_TOO_BIG: "it is longer than the device takes",
  UNHANDLED_PROTO: "no such IP version",
  IP_OUTNOROUTES: "the VRF has no route for it",
  IP_INADDRERRORS:
    "for another host, and not forwarded: net.ipv4.ip_forward or net.ipv6.conf.all.forwarding is 0, or its addresses forbid it",
  IPV6DISABLED: "IPv6 is off on the device (disable_ipv6)",
  MARTIAN_SOURCE: "no packet may come from its source: no route leads back to it, or it is no host's address",
  MARTIAN_DESTINATION: "no packet from outside may go to its destination",
  DEVICE_DOWN: "the device is down",
  NOT_JOINED: "nobody here listens to its group",
  RECURSION: "it came through this host again and again",
};

export function dropText(reason: DropReason): string {
  const name = nameOf(DropReason, reason);
  const meaning = MEANING[name as Name];
  return meaning === undefined ? name : `${name}: ${meaning}`;
}
