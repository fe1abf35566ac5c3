/**
 * The IPv4 header checksum (RFC 1071): the one's complement sum of the header's 16-bit words. Words of 32 bits are summed in
 * 64, since 2^16 = 1 modulo 2^16 - 1, and folded at the end; 15 words of 32 bits cannot overflow.
 */
import {
  add,
  and,
  binary,
  call,
  type Expr,
  ge,
  guard,
  i64,
  leave,
  local,
  type Proc,
  packet,
  put,
  type Reg,
  repeat,
  ret,
  type Step,
  set,
  shr,
  sub,
  unary,
  xor,
} from "../ir.ts";
import { proc } from "./context.ts";
import { HEADER, IPHDR_BYTES, iphdr } from "./in.ts";
import { l3 } from "./skb.ts";

export const IP_FAST_CSUM = "ip_fast_csum";

/** The header's length is 4 bits. */
const MAX_OPTION_WORDS = 10;

/** 0 when the header's checksum is right, and with a checksum field of 0 what has to stand there. Its `ihl` is inside the packet. */
export function ipFastCsum(): Proc {
  const sum = local("sum", "i64");
  const option = local("option");
  const word = (cursor: Reg, offset: number): Expr => unary("extend", packet(cursor, offset, 4));
  const fold = (value: Reg, bits: number): Expr =>
    add(binary("shr", value, i64(BigInt(bits))), and(value, i64((1n << BigInt(bits)) - 1n)));
  const fixed = [0, 4, 8, 12, 16].map((offset) => word(l3, offset)).reduce(add);
  const body: Step[] = [
    set(sum, fixed),
    set(option, add(l3, IPHDR_BYTES)),
    repeat(
      shr(sub(iphdr.length, IPHDR_BYTES), 2),
      "options",
      [guard(option, 4, [leave("options")]), set(sum, add(sum, word(option, 0))), set(option, add(option, 4))],
      MAX_OPTION_WORDS,
    ),
    set(sum, fold(sum, 32)),
    set(sum, fold(sum, 16)),
    set(sum, fold(sum, 16)),
    ret(xor(unary("wrap", sum), 0xffff)),
  ];
  const comment = "ip_fast_csum (lib/checksum.c)";
  return proc(IP_FAST_CSUM, { comment, result: "i32", requires: HEADER }, body);
}

/** ip_send_check: writes the checksum of the header as it stands. */
export const ipSendCheck: Step[] = [put(l3, 10, 2, 0), put(l3, 10, 2, call(IP_FAST_CSUM, []))];

/**
 * ip_decrease_ttl (RFC 1141): the TTL is the high byte of its word, so one less of it is 0x0100 more in the complement. The sum
 * is one's complement: a carry goes back in, and 0xffff becomes 0: check 0xfeff + 0x0100 = 0xffff -> 0x0000.
 */
export function ipDecreaseTtl(): Step[] {
  const check = local("check");
  return [
    set(check, add(iphdr.check, 0x0100)),
    put(l3, 10, 2, add(check, ge(check, 0xffff))),
    put(l3, 8, 1, sub(iphdr.ttl, 1)),
  ];
}
