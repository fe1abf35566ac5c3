/**
 * Bytes of the packet written by a rule, and the checksums mended (k:net/netfilter/nft_payload.c nft_payload_set_eval,
 * nft_payload_csum_inet, nft_payload_l4csum_update).
 *
 * RFC 1624: check' = ~(~check + ~m + m') over the changed 16-bit words m. Added up as numbers, not as one's complements:
 * ~x is 0xffff - x, nothing is negative, and 20 words of 16 bits do not overflow. 0 becomes 0xffff.
 */

import type { PayloadWrite } from "../../../../dsl/chain-model.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import {
  add,
  and,
  binary,
  call,
  type Expr,
  eq,
  guard,
  i64,
  local,
  type Proc,
  packet,
  put,
  type Reg,
  ret,
  type Step,
  select,
  set,
  shr,
  sub,
  unary,
  when,
  xor,
} from "../../ir.ts";
import { proc } from "../context.ts";
import type { RuleCode } from "./code.ts";
import { evaluate, payloadCursor } from "./expr.ts";
import { NOWHERE, thoff, tprot } from "./registers.ts";
import { packetBytes, sumOf, type Wide } from "./wide.ts";

export const change = local("change");

export function writePayload(code: RuleCode, step: PayloadWrite): void {
  const { offset, length, checksum, pseudo } = step;
  const value = code.holdAll(evaluate(code, step.value));
  const cursor = payloadCursor(code, step);
  if (checksum !== null) code.add(guard(cursor, checksum + 2, code.breaks));
  if (checksum !== null || pseudo) code.add(set(change, changeOf(cursor, offset, length, value)));
  if (checksum !== null) code.add(put(cursor, checksum, 2, call(CSUM_REPLACE, [packet(cursor, checksum, 2), change])));
  if (pseudo) code.add(when(call(L4CSUM_UPDATE, [change]), code.breaks));
  code.add(...putBytes(cursor, offset, length, value));
}

/** ~m + m', as a number of 32 bits. */
export function changeOf(cursor: Reg, offset: number, length: number, value: Wide): Expr {
  const words = Math.ceil(length / 2);
  return add(sub(words * 0xffff, sumOf(packetBytes(cursor, offset, length), length)), sumOf(value, length));
}

/** The value's pieces, each as the bytes that it has. */
export function putBytes(cursor: Reg, offset: number, length: number, value: Wide): Step[] {
  if (length <= 4) return putWord(cursor, offset, length, value[0]);
  if (length <= 8) return putLong(cursor, offset, length, value[0]);
  return [...putLong(cursor, offset, length - 8, value[0]), ...putLong(cursor, offset + length - 8, 8, value[1])];
}

function putWord(cursor: Reg, offset: number, length: number, value: Expr): Step[] {
  if (length !== 3) return [put(cursor, offset, length as 1 | 2 | 4, value)];
  return [put(cursor, offset, 2, shr(value, 8)), put(cursor, offset + 2, 1, value)];
}

function putLong(cursor: Reg, offset: number, length: number, value: Expr): Step[] {
  if (length === 8) return [put(cursor, offset, 8, value)];
  if (length <= 4) return putWord(cursor, offset, length, unary("wrap", value));
  const high = unary("wrap", binary("shr", value, i64(32n)));
  return [
    ...putWord(cursor, offset, length - 4, high),
    ...putWord(cursor, offset + length - 4, 4, unary("wrap", value)),
  ];
}

export const CSUM_REPLACE = "nft_csum_replace";
const check = local("check");
const sum = local("sum");

/** `nft_csum_replace(check, change)`: the new checksum. */
export function nftCsumReplace(): Proc {
  const fold = set(sum, add(shr(sum, 16), and(sum, 0xffff)));
  const body: Step[] = [
    set(sum, add(xor(check, 0xffff), change)),
    fold,
    fold,
    set(sum, xor(sum, 0xffff)),
    ret(select(sum, sum, 0xffff)),
  ];
  const comment = "nft_csum_replace (net/netfilter/nft_payload.c)";
  return proc(CSUM_REPLACE, { comment, params: [check, change], result: "i32" }, body);
}

const L4CSUM_UPDATE = "nft_payload_l4csum_update";
const at = local("at");

/** `nft_payload_l4csum_update(change)`: 1 when there should be a checksum and the packet ends before it. */
export function nftPayloadL4csumUpdate(): Proc {
  const { TCP, UDP, UDPLITE } = IpProtocol;
  const body: Step[] = [
    // A fragment but the first has none.
    when(eq(thoff, NOWHERE), [ret(0)]),
    set(at, 0),
    when(eq(tprot, TCP), [set(at, add(thoff, 16))]),
    when(eq(tprot, UDP), [
      guard(thoff, 8, [ret(0)]),
      when(eq(packet(thoff, 6, 2), 0), [ret(0)]),
      set(at, add(thoff, 6)),
    ]),
    when(eq(tprot, UDPLITE), [set(at, add(thoff, 6))]),
    when(eq(tprot, IpProtocol.ICMPV6), [set(at, add(thoff, 2))]),
    when(eq(at, 0), [ret(0)]),
    guard(at, 2, [ret(1)]),
    put(at, 0, 2, call(CSUM_REPLACE, [packet(at, 0, 2), change])),
    ret(0),
  ];
  const comment = "nft_payload_l4csum_update (net/netfilter/nft_payload.c)";
  return proc(L4CSUM_UPDATE, { comment, params: [change], result: "i32" }, body);
}
