/** Packets given to a namespace's engine one by one, and what it says of them. */
import { NEXT_HOP_IN_SLOT, type PacketBatch, PacketFlag } from "../batch.ts";
import type { Engine } from "../engine.ts";
import { describe, describeFrame } from "../net/describe.ts";
import { EthernetView, EtherType } from "../net/ethernet.ts";
import { type Ip, readIpv4, readIpv6, writeIpv4, writeIpv6 } from "../net/ip.ts";
import { IPV4_MAX_BYTES, Ipv4View } from "../net/ipv4.ts";
import { IPV6_HEADER_BYTES, Ipv6View, NextHeader } from "../net/ipv6.ts";
import type { Trace } from "../trace.ts";
import { Entry, type Verdict } from "../verdict.ts";
import type { Clock, Judgement, PacketEvent } from "./events.ts";
import type { OutputMeta } from "./stack.ts";

/** In a microsecond of the clock. */
const NANOSECONDS = 1000;

/** Room for the largest IP packet, an Ethernet header and the headroom, in whole cache lines. */
const SLOT_SIZE = 64 + IPV4_MAX_BYTES + 1 + 64;
/** Copies of one packet that chains may make (`dup`); more are lost. */
const MOST_COPIES = 3;

export interface EntryMeta extends Omit<OutputMeta, "byIcmp"> {
  readonly entry: Entry;
  readonly priority?: number;
  /** NEIGHBOUR: where to. */
  readonly nextHop?: Ip;
}

export interface JudgeOptions {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Index of the namespace in the lab; `PacketEvent.net`. */
  readonly net: number;
  /** Is told each packet's way; without it no trace is taken. */
  readonly record?: (event: PacketEvent) => void;
}

export class Judge {
  readonly #options: JudgeOptions;
  readonly #batch: PacketBatch;

  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#batch = options.engine.createBatch(1 + MOST_COPIES, SLOT_SIZE);
  }

  /** @returns what the engine says of the packet, and of the copies that chains made of it; on the record */
  judge(packet: Uint8Array, meta: EntryMeta): readonly [Judgement, ...Judgement[]] {
    this.#put(packet, meta);
    const { record } = this.#options;
    const traces = this.#run(record !== undefined);
    const judged = Array.from({ length: this.#batch.count }, (_, i) => resultOf(this.#batch, traces?.[i] ?? [], i));
    if (record !== undefined && isWorthARecord(packet, meta, judged)) this.#record(record, packet, meta, judged);
    return judged as [Judgement, ...Judgement[]];
  }

  #run(traced: boolean): readonly Trace[] | null {
    const { engine } = this.#options;
    if (traced) return engine.trace(this.#batch);
    engine.process(this.#batch);
    return null;
  }

  #record(
    record: (event: PacketEvent) => void,
    packet: Uint8Array,
    { entry, device }: EntryMeta,
    judged: readonly Judgement[],
  ): void {
    const { clock, net } = this.#options;
    const isFrame = entry === Entry.RECEIVE || entry === Entry.XMIT;
    const description = isFrame ? describeFrame(packet) : describe(packet);
    const event = { kind: "packet", time: clock.now, net, entry, device } as const;
    for (const one of judged) record({ ...event, before: packet.slice(), description, ...one });
  }

  /** The same off the record, without copies. */
  ask(packet: Uint8Array, meta: EntryMeta): Judgement {
    this.#put(packet, meta);
    this.#options.engine.process(this.#batch);
    return resultOf(this.#batch, [], 0);
  }

  #put(packet: Uint8Array, { entry, device, mark = 0, priority = 0, flags = 0, nextHop }: EntryMeta): void {
    const batch = this.#batch;
    this.#options.engine.setTime(BigInt(Math.round(this.#options.clock.now * NANOSECONDS)));
    batch.count = 0;
    const nextHopFlag = typeof nextHop === "bigint" ? PacketFlag.NEXT_HOP_IPV6 : 0;
    const i = batch.put(packet, { entry, device, mark, priority, flags: flags | nextHopFlag });
    if (nextHop === undefined) return;
    const offset = batch.slot(i) + NEXT_HOP_IN_SLOT;
    if (typeof nextHop === "bigint") writeIpv6(batch.bytes, offset, nextHop);
    else writeIpv4(batch.bytes, offset, nextHop);
    batch.column("nextHop")[i] = offset;
  }
}

/** ARP that is merely sent is on the record as a frame; what chains and programs do to it is more. */
const isWorthARecord = (packet: Uint8Array, { entry }: EntryMeta, judged: readonly Judgement[]): boolean =>
  entry !== Entry.XMIT ||
  new EthernetView(packet).type !== EtherType.ARP ||
  judged.some(({ trace }) => trace.some(({ step }) => step !== "hook" && step !== "transmit"));

/** What the engine says of a packet. */
export function resultOf(batch: PacketBatch, trace: Trace, index: number): Judgement {
  const column = (name: Parameters<PacketBatch["column"]>[0]) => batch.column(name)[index];
  const address = (offset: number, six: boolean): Ip | null =>
    offset === 0 ? null : six ? readIpv6(batch.bytes, offset) : readIpv4(batch.bytes, offset);
  const end = column("data") + column("length");
  const packet = batch.packet(index);
  const ip = column("l3") === 0 ? new Uint8Array() : ipPacket(batch.bytes.slice(column("l3"), end));
  // A next hop may be of the other family; a source never is.
  const sourceIsIpv6 = column("source") !== 0 && isIpv6(packet);
  return {
    trace,
    verdict: column("verdict") as Verdict,
    reason: column("reason"),
    outDevice: column("outDevice"),
    skbDevice: column("skbDevice"),
    sdif: column("sdif"),
    routeType: column("routeType"),
    route: column("route"),
    error: column("error"),
    info: column("info"),
    flags: column("flags"),
    mark: column("mark"),
    priority: column("priority"),
    nextHop: address(column("nextHop"), (column("flags") & PacketFlag.NEXT_HOP_IPV6) !== 0),
    source: address(column("source"), sourceIsIpv6),
    redirect: address(column("redirect"), isIpv6(ip)),
    packet,
    ip,
  };
}

export const isIpv6 = (packet: Uint8Array): boolean => packet.length > 0 && packet[0] >>> 4 === 6;

/** Without what follows the length that the header says (link-layer padding). */
export const ipPacket = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(0, Math.min(isIpv6(bytes) ? ipv6Length(bytes) : new Ipv4View(bytes).totalLength, bytes.length));

/** A jumbogram's payload length is 0, and its real one among the hop-by-hop options. */
function ipv6Length(bytes: Uint8Array): number {
  const { payloadLength, nextHeader } = new Ipv6View(bytes);
  return payloadLength === 0 && nextHeader === NextHeader.HOP ? bytes.length : IPV6_HEADER_BYTES + payloadLength;
}
