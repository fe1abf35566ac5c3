/**
 * Frames as nearly all are: untagged, IPv4 without options or IPv6 without extension headers, as long as they say. Every field of theirs is
 * at a place that is known when code is built, so several of them are read side by side (look_ahead.ts).
 */
import type { Expr as ChainExpr } from "../../../../dsl/chain-model.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../../runtime/net/ethernet.ts";
import { IPV6_HEADER_BYTES } from "../../../../runtime/net/ipv6.ts";
import { placedLookup } from "../../../lpm/blocks.ts";
import type { FieldLookup } from "../../../netfilter/classifier/layout.ts";
import {
  add,
  and,
  type Expr,
  expr,
  gt,
  guard,
  i32,
  load,
  local,
  lt,
  ne,
  or,
  packet,
  type Reg,
  type Space,
  type Step,
  set,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { IPHDR_BYTES } from "../in.ts";
import { classOfNumber } from "./classifier.ts";
import { isSkipped } from "./pktinfo.ts";
import { constantOf, shifted, wideAnd, wideXor } from "./wide.ts";

/** What plain frames of a family are. */
export interface PlainKind {
  readonly name: string;
  readonly type: number;
  readonly headerBytes: number;
  /** That it has at least, Ethernet header included. */
  readonly leastBytes: number;
  /** Where in the header the number of the transport protocol is. */
  readonly protocol: number;
  /** EtherType, version and, of IPv4, length of the header, compared as they lie. */
  readonly start: { readonly mask: number; readonly value: number };
  /** Steps for a header that is not plain, or says that more bytes follow than do; @param rest bytes of the frame from the header on */
  readonly refuse: (mac: Reg, rest: Expr, suffix: string, other: readonly Step[]) => Step[];
}

const inHeader = (mac: Reg, offset: number, bytes: 1 | 2): Expr => packet(mac, ETHERNET_HEADER_BYTES + offset, bytes);

export const PLAIN_KINDS: readonly PlainKind[] = [
  {
    ...{
      name: "ipv4",
      type: EtherType.IPV4,
      headerBytes: IPHDR_BYTES,
      leastBytes: ETHERNET_HEADER_BYTES + IPHDR_BYTES,
      protocol: 9,
    },
    start: { mask: 0xffffff00, value: (EtherType.IPV4 << 16) | 0x4500 },
    refuse: (mac, rest, suffix, other) => {
      const total = local(`total${suffix}`);
      return [set(total, inHeader(mac, 2, 2)), when(or(lt(total, IPHDR_BYTES), lt(rest, total)), other)];
    },
  },
  {
    ...{ name: "ipv6", type: EtherType.IPV6, headerBytes: IPV6_HEADER_BYTES, protocol: 6 },
    // An authentication header is the transport's if two bytes of it are there (nft_set_pktinfo_ipv6), whatever is read of it.
    leastBytes: ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES + 2,
    start: { mask: 0xfffff000, value: (EtherType.IPV6 << 16) | 0x6000 },
    refuse: (mac, rest, _, other) => [
      when(or(gt(add(inHeader(mac, 4, 2), IPV6_HEADER_BYTES), rest), isSkipped(inHeader(mac, 6, 1))), other),
    ],
  },
];

/** A frame that is read as one of a kind. */
export class PlainFrame {
  readonly #kind: PlainKind;
  readonly #mac: Reg;
  readonly #length: Reg;
  readonly #suffix: string;
  readonly #asked: ReadonlySet<ChainExpr>;
  readonly #values = new Map<ChainExpr, Reg>();
  readonly #reads: Step[] = [];
  #end: number;

  /**
   * @param asked fields that its class is asked of: of others no rule for such frames asks
   * @param suffix of registers
   */
  constructor(
    kind: PlainKind,
    asked: ReadonlySet<ChainExpr>,
    { mac, length, suffix }: { readonly mac: Reg; readonly length: Reg; readonly suffix: string },
  ) {
    this.#kind = kind;
    this.#asked = asked;
    this.#mac = mac;
    this.#length = length;
    this.#suffix = suffix;
    this.#end = kind.leastBytes;
  }

  /** Sets a register to the class of a field. Numbers are read before. */
  classOf(lookup: FieldLookup, space: Space, found: Reg): Step[] {
    const { field } = lookup;
    if (!this.#asked.has(field)) return [set(found, 0)];
    this.#end = Math.max(this.#end, this.#endOf(field));
    if (lookup.kind !== "field" || field.kind !== "payload" || field.bits <= 32)
      return classOfNumber(space, lookup, expr(this.#valueOf(field)), found);
    const at = this.#startOf(field.base) + field.offset;
    return placedLookup(lookup.blocks, space, (byte) => load("image", 2, this.#mac, at + byte), found);
  }

  /** Before all look-ups: is it such a frame, and what numbers are in it? @param other if it is not */
  steps(other: readonly Step[]): Step[] {
    const [mac, length] = [this.#mac, this.#length];
    const { start, refuse } = this.#kind;
    return [
      set(tail, add(mac, length)),
      guard(mac, this.#end, other),
      when(ne(and(packet(mac, 12, 4), start.mask), start.value), other),
      ...refuse(mac, sub(length, ETHERNET_HEADER_BYTES), this.#suffix, other),
      ...this.#reads,
    ];
  }

  #valueOf(field: ChainExpr): Reg {
    let value = this.#values.get(field);
    if (value === undefined) {
      value = local(`value${this.#values.size}${this.#suffix}`);
      this.#values.set(field, value);
      this.#reads.push(set(value, this.#read(field)[0]));
    }
    return value;
  }

  #read(e: ChainExpr): readonly Expr[] {
    switch (e.kind) {
      case "payload":
        return [packet(this.#mac, this.#startOf(e.base) + e.offset, e.length as 1 | 2 | 4)];
      case "meta":
        return [e.key === "protocol" ? i32(this.#kind.type) : inHeader(this.#mac, this.#kind.protocol, 1)];
      case "bitwise":
        return wideXor(wideAnd(this.#read(e.operand), constantOf(e.mask, e.bits)), constantOf(e.xor, e.bits));
      case "shift":
        return shifted(this.#read(e.operand), e.bits, e.direction, e.by);
      default:
        throw new RangeError(`${e.kind} is not looked up ahead`);
    }
  }

  #startOf(base: string): number {
    if (base === "link") return 0;
    return ETHERNET_HEADER_BYTES + (base === "network" ? 0 : this.#kind.headerBytes);
  }

  /** Where the bytes that it reads end. */
  #endOf(e: ChainExpr): number {
    if (e.kind === "bitwise" || e.kind === "shift") return this.#endOf(e.operand);
    return e.kind === "payload" ? this.#startOf(e.base) + e.offset + e.length : 0;
  }
}
