/**
 * TCP options, and where what follows the transport header starts.
 * k:net/netfilter/nft_exthdr.c nft_exthdr_tcp_eval, nft_tcp_header_pointer; nft_payload.c __nft_payload_inner_offset.
 */
import {
  add,
  call,
  type Expr,
  eq,
  eqz,
  ge,
  gt,
  guard,
  le,
  leave,
  local,
  lt,
  ne,
  or,
  type Proc,
  packet,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  shr,
  sub,
  tail,
  when,
} from "../../ir.ts";
import { proc } from "../context.ts";
import { Protocol } from "../in.ts";
import { NOWHERE, thoff, tprot } from "./registers.ts";

const TCP_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;
/** Of a TCP header: what its four bits of length can count beyond 20. */
const MAX_TCP_OPTION_SPACE = 40;
const TCPOPT_NOP = 1;

const FIND_OPTION = "nft_exthdr_tcp";
const kind = local("kind");
const need = local("need");
const option = local("option");
const end = local("end");
const bytes = local("bytes");

/** A TCP option of which `bytes` bytes are wanted: a cursor, 0 when there is none or it is shorter. */
export const tcpFindOption = (type: number, wanted: number): Expr => call(FIND_OPTION, [type, wanted]);

const tcpHeaderBytes = shl(shr(packet(thoff, 12, 1), 4), 2);

export function nftExthdrTcp(): Proc {
  const none: Step[] = [ret(0)];
  const length = packet(option, 1, 1);
  const body: Step[] = [
    when(ne(tprot, Protocol.TCP), none),
    guard(thoff, TCP_HEADER_BYTES, none),
    when(lt(tcpHeaderBytes, TCP_HEADER_BYTES), none),
    set(end, add(thoff, tcpHeaderBytes)),
    when(gt(end, tail), none),
    set(option, add(thoff, TCP_HEADER_BYTES)),
    repeat(MAX_TCP_OPTION_SPACE, "options", [
      when(ge(option, sub(end, 1)), [leave("options")]),
      guard(option, 2, none),
      // An option of length 0 counts as one byte, so that the search goes on.
      set(bytes, select(or(le(packet(option, 0, 1), TCPOPT_NOP), eqz(length)), 1, length)),
      when(eq(packet(option, 0, 1), kind), [when(or(gt(add(option, bytes), end), gt(need, bytes)), none), ret(option)]),
      set(option, add(option, bytes)),
    ]),
    ret(0),
  ];
  const comment = "nft_exthdr_tcp_eval (net/netfilter/nft_exthdr.c)";
  return proc(FIND_OPTION, { comment, params: [kind, need], result: "i32" }, body);
}

export const INNER_OFFSET = "nft_payload_inner_offset";

/** A cursor behind the UDP header, or the TCP header with its options; NOWHERE where there is neither. */
export function nftPayloadInnerOffset(): Proc {
  const body: Step[] = [
    when(eq(tprot, Protocol.UDP), [when(eq(thoff, NOWHERE), [ret(NOWHERE)]), ret(add(thoff, UDP_HEADER_BYTES))]),
    when(ne(tprot, Protocol.TCP), [ret(NOWHERE)]),
    guard(thoff, TCP_HEADER_BYTES, [ret(NOWHERE)]),
    ret(add(thoff, tcpHeaderBytes)),
  ];
  const comment = "__nft_payload_inner_offset (net/netfilter/nft_payload.c)";
  return proc(INNER_OFFSET, { comment, result: "i32" }, body);
}
