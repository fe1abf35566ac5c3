/**
 * The host side of one network namespace: what Linux does around the packet path that an engine decides.
 *
 *                wire                                     sockets
 *                 |  receive()                                  |  output(), lookup()
 *                 v                                             v
 *        +-----------------------------  engine  -------------------------------+
 *        |               |                 |               |           |        |
 *   PASS: arp.ts   LOCAL: deliver.ts  ICMP_ERROR:     UNRESOLVED:   FRAGMENT:  TRANSMIT        IPv6: ipv6/host6.ts
 *   answers,       reassembly.ts,     icmp-send.ts    neighbours.ts fragment.ts   |
 *   learns         echo -> reply,     through         asks by ARP,  and           v
 *                  closed port,       output()        NEIGHBOUR     NEIGHBOUR    wire
 *                  sockets
 *
 * Works over any `Engine`, one packet at a time; time is the clock's. Given the same calls it does the same things. A forwarder that
 * judges packets by batches hands in what is left to do by `judged`.
 *
 * Not here: source routes.
 */
import { type PacketBatch, PacketFlag } from "../batch.ts";
import type { Engine, RuleCounter } from "../engine.ts";
import { EthernetView, EtherType, withoutPriorityTags } from "../net/ethernet.ts";
import { IcmpType, REDIRECT_HOST, TimeExceeded, Unreachable } from "../net/icmp.ts";
import { type Ip, type Ipv4, type Ipv6, parseIp } from "../net/ip.ts";
import { decrementTtl, IPV4_HEADER_BYTES, Ipv4View, ipv4Packet } from "../net/ipv4.ts";
import { isMulticast6 } from "../net/ipv6.ts";
import { isGroup, type Mac, parseMac } from "../net/mac.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { isSummed } from "../net/verify-csum.ts";
import { MemoryError } from "../refusal.ts";
import { DropReason, Entry, Verdict } from "../verdict.ts";
import { type ArpStack, arpReceive, arpSolicit } from "./arp.ts";
import type { NetConfig } from "./config.ts";
import { deliver } from "./deliver.ts";
import { AddressScope, Devices, type HostDevice } from "./devices.ts";
import type { Clock, Judgement } from "./events.ts";
import { fragment } from "./fragment.ts";
import { type IcmpCause, icmpSend, specificDestination } from "./icmp-send.ts";
import { isOwnAddress } from "./ipv6/addresses.ts";
import { fragment6 } from "./ipv6/fragment.ts";
import { Host6 } from "./ipv6/host6.ts";
import { ndiscSolicit } from "./ipv6/ndisc.ts";
import { PeerLimit } from "./ipv6/peer-limit.ts";
import { Ping6 } from "./ipv6/ping6.ts";
import type { Stack6 } from "./ipv6/stack.ts";
import { type EntryMeta, ipPacket, isIpv6, Judge, type JudgeOptions, resultOf } from "./judge.ts";
import { Neighbours, type Waiting } from "./neighbours.ts";
import { compileOptions, forwardOptions, hasOptions, type IpOptions, scanOptions } from "./options.ts";
import { Ping } from "./ping.ts";
import type { PingDevice, PingHost, PingOptions, PingRun } from "./ping-run.ts";
import { ErrorRateLimit } from "./rate-limit.ts";
import { type Fragment, Reassembly } from "./reassembly.ts";
import { rejectFrame } from "./reject-frame.ts";
import type { ClientHost } from "./sockets/client.ts";
import { Sockets } from "./sockets/sockets.ts";
import type { OutputMeta } from "./stack.ts";
import { sendReset } from "./tcp-reset.ts";

export interface HostOptions extends JudgeOptions {
  readonly config: NetConfig;
  /** Puts a frame on the wire of a device. */
  readonly transmit: (device: number, frame: Uint8Array) => void;
  /**
   * Sockets that are not this host's: offered every packet for it, by `skbDevice` (the VRF) and `sdif` (the slave).
   * @returns whether they take it
   */
  readonly sockets?: (packet: Judgement) => boolean;
}

const INADDR_BROADCAST: Ipv4 = 0xffffffff;

/** What the host must remember of a packet that the verdict does not say. */
interface Arrival {
  /** The frame's destination was a group address. */
  readonly groupFrame: boolean;
  /** The IP packet as it was received, its options compiled; null: a socket's. */
  readonly received: Uint8Array | null;
  /** IP options; null: none. */
  readonly options: IpOptions | null;
}
/** A fragment for this host. */
interface ReceivedFragment extends Fragment {
  readonly sdif: number;
  readonly arrival: Arrival;
}
const FROM_SOCKET: Arrival = { groupFrame: false, received: null, options: null };
/** A frame's arrival, of an IP packet without options. */
function arrivalOf(frame: Uint8Array): Arrival {
  const ethernet = new EthernetView(withoutPriorityTags(frame));
  return { groupFrame: isGroup(ethernet.destination), received: ethernet.payload, options: null };
}
/** A broadcast of this host itself: not PACKET_HOST, so that it is not answered. */
const LOOPED_BACK: Arrival = { ...FROM_SOCKET, groupFrame: true };

export class Host implements Stack6, ArpStack, PingHost, ClientHost {
  readonly devices: Devices;
  readonly neighbours: Neighbours<Ipv4>;
  readonly neighbours6: Neighbours<Ipv6>;
  readonly errorLimit: ErrorRateLimit;
  readonly peers6: PeerLimit;
  readonly prefsrcRoutes6: ReadonlySet<number>;
  readonly onLinkRoutes6: ReadonlyMap<number, Ip | null>;
  readonly clock: Clock;
  readonly ipv6: Host6;
  /** Frames that are neither IP nor ARP. */
  passed = 0;
  readonly #engine: Engine;
  readonly #verdicts: Judge;
  readonly #config: NetConfig;
  readonly #options: HostOptions;
  readonly #reassembly: Reassembly<ReceivedFragment>;
  readonly sockets: Sockets;
  #identification = 0;
  #pings = 0;

  constructor(options: HostOptions) {
    this.#engine = options.engine;
    this.#config = options.config;
    this.#options = options;
    this.#verdicts = new Judge(options);
    this.clock = options.clock;
    this.devices = new Devices(options.config);
    this.sockets = new Sockets(this);
    this.errorLimit = new ErrorRateLimit(options.clock);
    this.peers6 = new PeerLimit(options.clock);
    this.prefsrcRoutes6 = new Set(options.config.prefsrcRoutes6);
    this.onLinkRoutes6 = new Map(options.config.onLinkRoutes6.map(({ route, address }) => [route, parseIp(address)]));
    this.ipv6 = new Host6(this, this.sockets);
    this.#reassembly = new Reassembly(
      options.clock,
      (device) => this.devices.l3mdevMaster(device),
      (first, device) => this.#reassemblyExpired(first, device),
    );
    const resolution = {
      resolved: (device: number, address: Ip, mac: Mac, queue: readonly Waiting[]) =>
        this.#neighbourResolved(device, address, mac, queue),
      failed: (device: number, queue: readonly Waiting[]) => this.#neighbourFailed(device, queue),
      forgotten: (device: number, address: Ip) => this.#engine.setNeighbour(device, address, null),
    };
    this.neighbours = new Neighbours<Ipv4>(options.clock, {
      ...resolution,
      solicit: (device, address, packet) => arpSolicit(this, device, address, packet),
    });
    this.neighbours6 = new Neighbours<Ipv6>(options.clock, {
      ...resolution,
      solicit: (device, address, packet) => ndiscSolicit(this, device, address, packet),
    });
    for (const { device, address, mac } of options.config.neighbours) {
      const [ip, link] = [parseIp(address), parseMac(mac)];
      if (link === null) continue;
      if (typeof ip === "number") this.neighbours.addPermanent(device, ip, link);
      else if (ip !== null) this.neighbours6.addPermanent(device, ip, link);
    }
  }

  get sysctl(): NetConfig["sysctl"] {
    return this.#config.sysctl;
  }
  get defaultTtl(): number {
    return this.sysctl.ipDefaultTtl;
  }

  /** A frame arrives at a device. */
  receive(device: number, frame: Uint8Array): void {
    const ethernet = new EthernetView(withoutPriorityTags(frame));
    const groupFrame = isGroup(ethernet.destination);
    const ip = new Ipv4View(ethernet.payload);
    const readable = ethernet.type === EtherType.IPV4 && ip.bytes.length >= ip.headerLength && hasOptions(ip.bytes);
    if (readable) this.#receiveWithOptions(device, frame, ip.bytes, groupFrame);
    else {
      const arrival = { groupFrame, received: ethernet.payload, options: null };
      this.#act(this.#judge(frame, { entry: Entry.RECEIVE, device }), frame, device, arrival);
    }
  }

  /** ip_rcv_options, and ip_forward_options where the packet goes on: the engine is told what is wrong with the options. */
  #receiveWithOptions(device: number, frame: Uint8Array, packet: Uint8Array, groupFrame: boolean): void {
    const { problem, sourceRoute } = scanOptions(packet);
    const flags =
      problem !== null ? PacketFlag.OPTIONS_INVALID : sourceRoute !== 0 ? PacketFlag.OPTIONS_SOURCE_ROUTE : 0;
    const judged = this.#judge(frame, { entry: Entry.RECEIVE, device, flags });
    if ((judged.flags & PacketFlag.OPTIONS_UNREAD) !== 0 || judged.verdict === Verdict.REJECT_FRAME) {
      this.#act(judged, frame, device, { groupFrame, received: packet, options: null });
      return;
    }
    const domain = this.devices.l3mdevMaster(device);
    const { routeType } = judged;
    const entries = {
      address: () => specificDestination(this, { bytes: packet, device: domain === 0 ? device : domain, routeType }),
      time: this.timestamp(),
      isUnicast: (address: Ipv4) => !this.devices.isLocal(address, domain),
    };
    const received = packet.slice();
    const options = compileOptions(received, entries);
    this.#act(this.#passOptions(judged, received, options), frame, device, { groupFrame, received, options });
  }

  /** The verdict on a packet whose options were compiled into `received` meanwhile. */
  #passOptions(judged: Judgement, received: Uint8Array, options: IpOptions): Judgement {
    const header = received.subarray(0, new Ipv4View(received).headerLength);
    const ip = judged.ip.slice();
    if (ip.length < header.length) return judged;
    ip.set(header.subarray(IPV4_HEADER_BYTES), IPV4_HEADER_BYTES);
    // nf_ip_checksum sums up the header too, whose own checksum is not made anew until the packet leaves.
    const { protocol, payload } = new Ipv4View(ip);
    if (judged.reason === DropReason.NETFILTER_DROP && options.changed && isSummed(protocol, payload))
      return { ...judged, verdict: Verdict.DROP };
    const info = options.problem === null ? judged.info : options.problem * 2 ** 24;
    if (judged.verdict === Verdict.LOCAL || judged.verdict === Verdict.ICMP_ERROR) return { ...judged, ip, info };
    forwardOptions(ip, options, () => this.#forwardSource(judged, new Ipv4View(ip)));
    const packet = judged.packet.slice();
    if (judged.verdict === Verdict.TRANSMIT) packet.set(ip, packet.length - ip.length);
    return { ...judged, ip, packet };
  }

  /** ip_rt_get_source: the address of this host on the way on. */
  #forwardSource({ outDevice, nextHop }: Judgement, ip: Ipv4View): Ipv4 {
    const { tos, ttl, protocol, destination } = ip;
    const header = { tos, identification: 0, dontFragment: false, ttl, protocol, source: 0, destination };
    const found = this.route(ipv4Packet(header, new Uint8Array()), { device: outDevice });
    if (found.verdict === Verdict.FOUND && typeof found.source === "number") return found.source;
    const towards = typeof nextHop === "number" ? nextHop : destination;
    return this.devices.selectAddress(outDevice, towards, AddressScope.UNIVERSE);
  }

  /**
   * What follows from a verdict that was given elsewhere.
   * @param batch the engine's own, packet `index` judged
   * @param packet as it was given to the engine: a frame for RECEIVE (without IPv4 options), an IP packet for OUTPUT
   */
  judged(
    batch: PacketBatch,
    index: number,
    packet: Uint8Array,
    entry: typeof Entry.RECEIVE | typeof Entry.OUTPUT,
  ): void {
    const device = batch.column("device")[index];
    const judged = resultOf(batch, [], index);
    this.#act(judged, packet, device, entry === Entry.OUTPUT ? FROM_SOCKET : arrivalOf(packet));
  }

  /** Takes over what another host of devices with the same names has learned, and the packets that wait there. */
  adopt(other: Host): void {
    const renumber = (device: number) => this.devices.named(other.devices.name(device))?.ifindex;
    this.neighbours.adopt(other.neighbours, renumber);
    this.neighbours6.adopt(other.neighbours6, renumber);
  }

  /** neigh_ifdown: a device has gone. */
  forgetNeighbours(device: number): void {
    this.neighbours.flush(device);
    this.neighbours6.flush(device);
  }

  /** To be called about once a second where neighbours are real: asks for those not heard of (neighbours.ts). */
  confirmNeighbours(): void {
    this.neighbours.confirm();
    this.neighbours6.confirm();
  }

  output(packet: Uint8Array, { byIcmp = false, ...meta }: OutputMeta): Judgement {
    const judged = this.#judge(packet, { ...meta, entry: Entry.OUTPUT });
    if (judged.verdict !== Verdict.ICMP_ERROR || !byIcmp) this.#act(judged, packet, meta.device, FROM_SOCKET);
    return judged;
  }

  /** Entry.LOOKUP, on the record: connect() of a socket. */
  lookup(packet: Uint8Array, meta: OutputMeta): Judgement {
    return this.#judge(packet, { ...meta, entry: Entry.LOOKUP });
  }

  route(packet: Uint8Array, meta: OutputMeta): Judgement {
    return this.#verdicts.ask(packet, { ...meta, entry: Entry.LOOKUP });
  }

  /** Asks the engine with a made-up packet: only the route counts, and for that no bytes but the addresses matter. */
  routeInput(device: number, source: Ipv4, destination: Ipv4): number {
    const header = { tos: 0, identification: 0, dontFragment: false, ttl: 64, protocol: 0, source, destination };
    const judged = this.#verdicts.ask(ipv4Packet(header, new Uint8Array()), { entry: Entry.ROUTE_INPUT, device });
    return judged.verdict === Verdict.FOUND ? judged.routeType : 0;
  }

  routeReceived(packet: Uint8Array, device: number): Judgement {
    return this.#verdicts.ask(packet, { entry: Entry.ROUTE_INPUT, device });
  }

  sendNdisc(packet: Uint8Array, device: number, mark = 0): Judgement {
    const judged = this.#judge(packet, { entry: Entry.NDISC, device, mark });
    this.#act(judged, packet, device, FROM_SOCKET);
    return judged;
  }

  /** What the namespace's chains have counted. */
  readCounters(): RuleCounter[] {
    return this.#engine.readCounters();
  }

  transmit(device: number, frame: Uint8Array): void {
    this.#options.transmit(device, frame);
  }

  /** dev_queue_xmit: a frame of this host's own leaves, past the device's egress chains and programs. */
  xmit(device: number, frame: Uint8Array): void {
    this.#act(this.#judge(frame, { entry: Entry.XMIT, device }), frame, device, FROM_SOCKET);
  }

  timestamp(): number {
    return Math.floor(this.clock.now / 1000) % 86_400_000;
  }

  nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }

  /** Starts `ping`; its `result` is there at once or after some time on the clock. */
  ping(options: PingOptions): PingRun {
    this.#pings++;
    const { destination } = options;
    const identifier = this.#pings & 0xffff;
    if (typeof destination === "bigint") return this.#ping6({ ...options, destination }, identifier);
    const ping = new Ping(this, { ...options, destination }, identifier);
    this.sockets.addRaw(ping);
    ping.start();
    return ping;
  }

  #ping6(options: PingOptions & { readonly destination: Ipv6 }, identifier: number): Ping6 {
    const ping = new Ping6(this, options, identifier);
    this.ipv6.addRaw(ping);
    ping.start();
    return ping;
  }

  device(nameOrIndex: number | string): PingDevice | null {
    const device = typeof nameOrIndex === "number" ? this.devices.get(nameOrIndex) : this.devices.named(nameOrIndex);
    return device === undefined ? null : { ifindex: device.ifindex, name: device.name, addresses: addressesOf(device) };
  }

  mayBind(address: Ip, device: number): boolean {
    if (typeof address === "bigint") return isMulticast6(address) || isOwnAddress(this.devices, address, device);
    const domain = this.devices.l3mdevMaster(device);
    return this.devices.isLocal(address, domain) || this.devices.isGroup(address, domain);
  }

  /** @param packet as given to the engine; `device` likewise */
  #act(judged: Judgement, packet: Uint8Array, device: number, arrival: Arrival): void {
    this.#actOn(judged, packet, device, arrival);
    if ((judged.flags & PacketFlag.LOOP_BACK) !== 0 && judged.outDevice !== 0) this.#loopBack(judged);
  }

  /** dev_loopback_xmit: the copy of a broadcast or multicast that went out. */
  #loopBack({ ip, outDevice: device, mark, priority }: Judgement): void {
    this.#act(this.#judge(ip, { entry: Entry.LOOPBACK, device, mark, priority }), ip, device, LOOPED_BACK);
  }

  #actOn(judged: Judgement, packet: Uint8Array, device: number, arrival: Arrival): void {
    if (judged.redirect !== null && arrival.received !== null)
      this.#redirect(judged, judged.redirect, arrival, ipPacket(arrival.received));
    switch (judged.verdict) {
      case Verdict.TRANSMIT:
        this.transmit(judged.outDevice, judged.packet);
        break;
      case Verdict.LOCAL:
        if (this.#options.sockets?.(judged)) break;
        if (isIpv6(judged.ip)) this.ipv6.deliver(judged, arrival.groupFrame, device);
        else if (new Ipv4View(judged.ip).isFragment) this.#reassemble(judged, arrival);
        else this.#deliver(judged, arrival);
        break;
      case Verdict.ICMP_ERROR:
        if (isIpv6(judged.ip)) this.ipv6.icmpError(judged, arrival.groupFrame);
        else this.#icmpError(judged, arrival);
        break;
      case Verdict.UNRESOLVED:
        this.#unresolved(judged, arrival.received === null ? 0 : device);
        break;
      case Verdict.FRAGMENT:
        this.#fragment(judged);
        break;
      case Verdict.TCP_RESET:
        sendReset(this, judged.ip, judged.outDevice);
        break;
      case Verdict.REJECT_FRAME:
        this.#rejectFrame(judged);
        break;
      case Verdict.PASS:
        this.#pass(packet, device);
        break;
      case Verdict.DROP:
      case Verdict.SEND_ERROR:
      case Verdict.FOUND:
      case Verdict.NONE:
        break;
      default:
        judged.verdict satisfies never;
    }
  }

  #deliver(
    { ip: bytes, skbDevice: device, sdif, routeType }: Judgement,
    { groupFrame, received, options }: Arrival,
  ): void {
    const owner = this.devices.ownerOf(new Ipv4View(bytes).destination, this.devices.l3mdevMaster(device));
    const inetIif = received === null && owner !== 0 ? owner : device;
    deliver(this, this.sockets, { bytes, device, inetIif, sdif, routeType, groupFrame, options });
  }

  /** ip_local_deliver of a fragment. The whole has the first fragment's header and sk_buff, but the last one's skb->dev and dst. */
  #reassemble({ ip: bytes, skbDevice: device, sdif, routeType }: Judgement, arrival: Arrival): void {
    const done = this.#reassembly.add({ bytes, device, sdif, arrival });
    if (done === null) return;
    const { bytes: packet, first } = done;
    const judged = this.#judge(packet, { entry: Entry.LOCAL_IN, device });
    // As the engine has it for a packet that was not cut: `sdif` of LOCAL is the slave, of ICMP_ERROR the receiving device.
    const receivedBy = judged.verdict === Verdict.LOCAL ? first.sdif : first.sdif || device;
    this.#act({ ...judged, sdif: receivedBy, routeType }, packet, device, first.arrival);
  }

  /** ip_expire: only if the fragment would still be accepted. */
  #reassemblyExpired({ bytes: packet, arrival }: ReceivedFragment, device: number): void {
    const { verdict, routeType } = this.#verdicts.ask(packet, { entry: Entry.ROUTE_INPUT, device });
    if (verdict !== Verdict.FOUND) return;
    const { groupFrame, options } = arrival;
    const error = { type: IcmpType.TIME_EXCEEDED, code: TimeExceeded.FRAGMENT_TIME, info: 0 };
    icmpSend(this, { ...error, packet, device, routeType, groupFrame, options, received: true });
  }

  #icmpError(judged: Judgement, arrival: Arrival): void {
    const { error, info, ip: packet } = judged;
    const rejected = judged.reason === DropReason.NETFILTER_DROP;
    this.#tell({ type: error >>> 8, code: error & 0xff, info, rejected, packet }, judged, arrival);
  }

  /** ip_rt_send_redirect, after ip_decrease_ttl: a shorter way than by this host. @param received as it came */
  #redirect(judged: Judgement, target: Ip, arrival: Arrival, received: Uint8Array): void {
    if (typeof target === "bigint") {
      this.ipv6.redirect(received, target, judged.sdif);
      return;
    }
    const packet = decrementTtl(received);
    const { source } = new Ipv4View(packet);
    const domain = this.devices.l3mdevMaster(judged.sdif);
    if (!this.errorLimit.allowRedirect(source, domain)) return;
    this.#tell(
      { type: IcmpType.REDIRECT, code: REDIRECT_HOST, info: target, rejected: false, packet },
      judged,
      arrival,
    );
    this.errorLimit.sentRedirect(source, domain);
  }

  /** icmp_send about a packet that went the way of `judged`. */
  #tell(
    message: Pick<IcmpCause, "packet" | "type" | "code" | "info" | "rejected">,
    { skbDevice: device, sdif, routeType }: Judgement,
    { groupFrame, options }: Arrival,
  ): void {
    const received = sdif !== 0;
    // The route of a directed broadcast that is forwarded (bc_forwarding) has no RTCF_BROADCAST: __mkroute_input.
    const mayForward = this.devices.get(device)?.forwardsBroadcasts === true;
    const isDirected = new Ipv4View(message.packet).destination !== INADDR_BROADCAST;
    const isForwarded = received && routeType === RouteTypeCode.broadcast && isDirected && mayForward;
    const type = isForwarded ? RouteTypeCode.unicast : routeType;
    icmpSend(this, { ...message, device, groupFrame, received, options, routeType: type });
  }

  /** @param receivedBy the device that the packet came in by, 0: a socket's */
  #unresolved({ outDevice, nextHop, ip: packet, mark, priority }: Judgement, receivedBy: number): void {
    const waiting = { packet, receivedBy, mark, priority };
    if (typeof nextHop === "number") this.neighbours.queue(outDevice, nextHop, waiting);
    else if (nextHop !== null) this.neighbours6.queue(outDevice, nextHop, waiting);
  }

  #fragment({ ip, info: mtu, outDevice: device, nextHop, mark, priority }: Judgement): void {
    if (nextHop === null) return;
    const pieces = isIpv6(ip) ? fragment6(ip, mtu, this.nextIdentification()) : fragment(ip, mtu);
    for (const packet of pieces) this.#neighbourOutput(device, nextHop, { packet, mark, priority });
  }

  #rejectFrame({ packet: frame, error, outDevice: device }: Judgement): void {
    const answer = rejectFrame(this.defaultTtl, frame, error);
    if (answer !== null) this.xmit(device, answer);
  }

  #pass(packet: Uint8Array, device: number): void {
    const frame = new EthernetView(withoutPriorityTags(packet));
    if (frame.type === EtherType.ARP) arpReceive(this, device, frame);
    else this.passed++;
  }

  #neighbourResolved(device: number, address: Ip, mac: Mac, queue: readonly Waiting[]): void {
    try {
      this.#engine.setNeighbour(device, address, mac);
    } catch (error) {
      // Without memory, as with a table that is full, what waits is lost; the next packet asks again.
      if (error instanceof MemoryError) return;
      throw error;
    }
    for (const waiting of queue) this.#neighbourOutput(device, address, waiting);
  }

  #neighbourOutput(device: number, nextHop: Ip, { packet, mark, priority }: Omit<Waiting, "receivedBy">): void {
    const judged = this.#judge(packet, { entry: Entry.NEIGHBOUR, device, nextHop, mark, priority });
    this.#act(judged, packet, device, FROM_SOCKET);
  }

  /** dst_link_failure -> ipv4_link_failure, ip6_link_failure: skb->dev is the device that the packet was to leave by. */
  #neighbourFailed(device: number, queue: readonly Waiting[]): void {
    const error = {
      type: IcmpType.DEST_UNREACH,
      code: Unreachable.HOST,
      info: 0,
      device,
      routeType: 0,
      groupFrame: false,
      options: null,
    };
    for (const waiting of queue)
      if (isIpv6(waiting.packet)) this.ipv6.linkFailure(device, waiting);
      else icmpSend(this, { ...error, packet: waiting.packet, received: false });
  }

  /** Lets the engine decide; copies that chains make of the packet go their ways first. */
  #judge(packet: Uint8Array, meta: EntryMeta): Judgement {
    const [judged, ...copies] = this.#verdicts.judge(packet, meta);
    for (const copy of copies) this.#actOn(copy, packet, meta.device, FROM_SOCKET);
    return judged;
  }
}

const addressesOf = ({ addresses, addresses6 }: HostDevice): Ip[] =>
  [...addresses, ...addresses6].map((a) => a.address);
