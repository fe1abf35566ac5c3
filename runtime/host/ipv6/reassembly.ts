/**
 * Reassembly of fragments for this host (net/ipv6/reassembly.c, RFC 8200 section 4.5).
 *
 *   | IPv6 | ... | fragment header 0 M | 1232 bytes |      | IPv6 | ... | fragment header 1232 | 200 bytes |
 *        ->   | IPv6 | ... | 1432 bytes |            the headers of the first, without its fragment header
 *
 * Fragments belong together by addresses, identification and, for link-local and multicast, the device. One that overlaps another
 * spoils them all. After 60 s what there is of a packet is given up; its sender hears of it if the first fragment is there.
 */
import { ICMP6_HEADER_BYTES, ParameterProblem6 } from "../../net/icmp6.ts";
import { IpProtocol } from "../../net/ipv4.ts";
import {
  FRAGMENT_HEADER_BYTES,
  IPV6_HEADER_BYTES,
  IPV6_MAX_PAYLOAD,
  Ipv6View,
  isLinkLocal6,
  isMulticast6,
  PAYLOAD_LENGTH,
  skipExtensionHeaders,
} from "../../net/ipv6.ts";
import { TCP_HEADER_BYTES } from "../../net/tcp.ts";
import { UDP_HEADER_BYTES } from "../../net/udp.ts";
import { readU16, readU32, writeU16 } from "../../net/wire.ts";
import { type Clock, SECOND } from "../events.ts";
import { DROP, type HeaderResult, problem } from "./exthdrs.ts";
import type { LocalPacket6 } from "./stack.ts";

const OFFSET_AND_FLAGS = 2;
const IDENTIFICATION = 4;
const MORE_FRAGMENTS = 1;
/** IPV6_FRAG_TIMEOUT */
const TIMEOUT = 60 * SECOND;

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

interface Queue {
  readonly pieces: Piece[];
  /** The fragment with offset 0, and where its fragment header is. */
  first: { readonly packet: LocalPacket6; readonly at: FragmentAt } | null;
  /** Length of the whole, once the last fragment is here. */
  length: number | null;
}

interface FragmentAt {
  /** Where the next-header field stands that names the fragment header. */
  readonly namedAt: number;
  /** Where the fragment header starts. */
  readonly offset: number;
}

export type ReassemblyResult = HeaderResult | { readonly kind: "whole"; readonly bytes: Uint8Array };

export class Reassembly {
  readonly #queues = new Map<string, Queue>();
  readonly #clock: Clock;
  readonly #expired: (first: LocalPacket6) => void;

  /** @param expired a packet was not completed in time, and this is its first fragment (ip6frag_expire_frag_queue) */
  constructor(clock: Clock, expired: (first: LocalPacket6) => void) {
    this.#clock = clock;
    this.#expired = expired;
  }

  /** ipv6_frag_rcv. @returns "next": it was no fragment at all; "drop": more fragments are needed, or all is lost */
  add(packet: LocalPacket6, at: FragmentAt): ReassemblyResult {
    const { bytes } = packet;
    const start = at.offset + FRAGMENT_HEADER_BYTES;
    if (new Ipv6View(bytes).payloadLength === 0 || start > bytes.length)
      return problem(ParameterProblem6.HDR_FIELD, at.offset);
    const field = readU16(bytes, at.offset + OFFSET_AND_FLAGS);
    const [position, more] = [field & 0xfff8, (field & MORE_FRAGMENTS) !== 0];
    if (position === 0 && !more) return { kind: "next", offset: start };
    if (isUpperHeaderCut(bytes)) return problem(ParameterProblem6.HDR_INCOMP, 0);
    const data = bytes.subarray(start);
    if (position + data.length > IPV6_MAX_PAYLOAD)
      return problem(ParameterProblem6.HDR_FIELD, at.offset + OFFSET_AND_FLAGS);
    if (more && data.length % 8 !== 0) return problem(ParameterProblem6.HDR_FIELD, PAYLOAD_LENGTH);
    const key = keyOf(packet, at.offset);
    const queue = this.#queues.get(key) ?? this.#open(key);
    if (position === 0) queue.first ??= { packet, at };
    return this.#insert(key, queue, { start: position, bytes: data }, more);
  }

  /** ip6_frag_queue */
  #insert(key: string, queue: Queue, piece: Piece, more: boolean): ReassemblyResult {
    const end = piece.start + piece.bytes.length;
    if (queue.pieces.some((p) => p.start === piece.start && p.bytes.length === piece.bytes.length)) return DROP;
    const overlaps = queue.pieces.some((p) => piece.start < p.start + p.bytes.length && p.start < end);
    const contradicts = queue.length !== null && (more ? end > queue.length : end !== queue.length);
    const beyond = !more && queue.pieces.some((p) => p.start + p.bytes.length > end);
    if (overlaps || contradicts || beyond) {
      this.#queues.delete(key);
      return DROP;
    }
    queue.pieces.push(piece);
    if (!more) queue.length = end;
    const have = queue.pieces.reduce((sum, p) => sum + p.bytes.length, 0);
    if (queue.first === null || queue.length !== have) return DROP;
    this.#queues.delete(key);
    return { kind: "whole", bytes: whole(queue.pieces, queue.first, have) };
  }

  #open(key: string): Queue {
    const queue: Queue = { pieces: [], first: null, length: null };
    this.#queues.set(key, queue);
    this.#clock.after(TIMEOUT, () => {
      if (this.#queues.get(key) !== queue) return;
      this.#queues.delete(key);
      if (queue.first !== null) this.#expired(queue.first.packet);
    });
    return queue;
  }
}

/** ipv6frag_thdr_truncated: the first fragment must hold all headers (RFC 8200 section 4.5). */
function isUpperHeaderCut(packet: Uint8Array): boolean {
  const upper = skipExtensionHeaders(packet);
  if (upper === null || upper.fragment >>> 3 !== 0) return false;
  return upper.offset + (UPPER_HEADER_BYTES[upper.protocol] ?? 1) > packet.length;
}
const UPPER_HEADER_BYTES: Readonly<Record<number, number>> = {
  [IpProtocol.TCP]: TCP_HEADER_BYTES,
  [IpProtocol.UDP]: UDP_HEADER_BYTES,
  [IpProtocol.ICMPV6]: ICMP6_HEADER_BYTES,
};

/** ip6_frag_reasm */
function whole(pieces: readonly Piece[], { packet, at }: NonNullable<Queue["first"]>, length: number): Uint8Array {
  const bytes = new Uint8Array(at.offset + length);
  bytes.set(packet.bytes.subarray(0, at.offset));
  for (const piece of pieces) bytes.set(piece.bytes, at.offset + piece.start);
  bytes[at.namedAt] = packet.bytes[at.offset];
  writeU16(bytes, PAYLOAD_LENGTH, bytes.length - IPV6_HEADER_BYTES);
  return bytes;
}

/** fq_find: what may be used on several links at once belongs to one of them. */
function keyOf({ bytes, device }: LocalPacket6, offset: number): string {
  const { source, destination } = new Ipv6View(bytes);
  const link = isLinkLocal6(destination) || isMulticast6(destination) ? device : 0;
  return `${readU32(bytes, offset + IDENTIFICATION)} ${source} ${destination} ${link}`;
}
