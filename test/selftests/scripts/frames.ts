/** Ethernet frames that selftests send. */

import { EtherType, ethernetFrame } from "../../../runtime/net/ethernet.ts";
import { IcmpType, icmpMessage } from "../../../runtime/net/icmp.ts";
import { type Ip, parseIp } from "../../../runtime/net/ip.ts";
import { IpProtocol, ipv4Packet } from "../../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../../runtime/net/ipv6.ts";
import { parseMac } from "../../../runtime/net/mac.ts";
import { udpDatagram } from "../../../runtime/net/udp.ts";
import type { Frame } from "../../../src/scenario.ts";

export interface Sent {
  readonly port: string;
  readonly from: string;
  readonly to: string;
  /** Destination MAC. */
  readonly mac: string;
}

const SENDER_MAC = 0x02_00_00_00_00_99;

/** As mausezahn's `-t udp sp=54321,dp=12345`. */
export const udpFrame = (sent: Sent): Frame => {
  const [source, destination] = [addressOf(sent.from), addressOf(sent.to)];
  const datagram = { sourcePort: 54321, destinationPort: 12345, data: new Uint8Array(8) };
  return frameOf(sent, IpProtocol.UDP, udpDatagram(datagram, source, destination));
};

/** As `ping -b`. */
export const echoFrame = (sent: Sent): Frame =>
  frameOf(
    sent,
    IpProtocol.ICMP,
    icmpMessage({ type: IcmpType.ECHO, code: 0, rest: 0x0001_0001, data: new Uint8Array(8) }),
  );

function frameOf({ port, from, to, mac }: Sent, protocol: number, payload: Uint8Array): Frame {
  const [source, destination] = [addressOf(from), addressOf(to)];
  const packet =
    typeof source === "number"
      ? ipv4Packet(
          {
            tos: 0,
            identification: 1,
            dontFragment: true,
            ttl: 64,
            protocol,
            source,
            destination: destination as number,
          },
          payload,
        )
      : ipv6Packet(
          {
            trafficClass: 0,
            flowLabel: 0,
            nextHeader: protocol,
            hopLimit: 64,
            source,
            destination: destination as bigint,
          },
          payload,
        );
  const type = typeof source === "number" ? EtherType.IPV4 : EtherType.IPV6;
  const bytes = ethernetFrame({ destination: parseMac(mac) ?? 0, source: SENDER_MAC, type }, packet);
  return { port, hex: Buffer.from(bytes).toString("hex") };
}

const addressOf = (text: string): Ip => {
  const ip = parseIp(text);
  if (ip === null) throw new Error(`${text} is no address`);
  return ip;
};
