/**
 * Options of TCP and IPv4, and where what follows the transport header starts.
 * k:net/netfilter/nft_exthdr.c nft_exthdr_tcp_eval, nft_exthdr_tcp_set_eval, nft_tcp_header_pointer, ipv4_find_option; net/ipv4/ip_options.c __ip_options_compile; nft_payload.c __nft_payload_inner_offset.
 */
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { TCP_HEADER_BYTES, TcpOption } from "../../../../runtime/net/tcp.ts";
import { UDP_HEADER_BYTES } from "../../../../runtime/net/udp.ts";
import {
  add,
  and,
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
import { IPHDR_BYTES } from "../in.ts";
import { hookData, NOWHERE, thoff, tprot } from "./registers.ts";

/** Of a TCP header: what its four bits of length can count beyond 20. */
const MAX_TCP_OPTION_SPACE = 40;

const FIND_OPTION = "nft_exthdr_tcp";
const SETTABLE_OPTION = "nft_exthdr_tcp_set";
const kind = local("kind");
const need = local("need");
const option = local("option");
const end = local("end");
const bytes = local("bytes");

/** A TCP option of which `wanted` bytes are wanted: a cursor, 0 when there is none or it is shorter. */
export const tcpFindOption = (type: number, wanted: number): Expr => call(FIND_OPTION, [type, wanted]);
/** The same, but MALFORMED when there is no TCP header, or the option is shorter. */
export const tcpSettableOption = (type: number, wanted: number): Expr => call(SETTABLE_OPTION, [type, wanted]);
/** No cursor: an option stands behind a header. */
export const MALFORMED = 1;

const tcpHeaderBytes = shl(shr(packet(thoff, 12, 1), 4), 2);

/** Walks the options up to the first of this kind; `malformed`: what to do without a TCP header, or when the option has not all the bytes. */
function searchOption(name: string, comment: string, malformed: readonly Step[]): Proc {
  const length = packet(option, 1, 1);
  const body: Step[] = [
    when(ne(tprot, IpProtocol.TCP), malformed),
    guard(thoff, TCP_HEADER_BYTES, malformed),
    when(lt(tcpHeaderBytes, TCP_HEADER_BYTES), malformed),
    set(end, add(thoff, tcpHeaderBytes)),
    when(gt(end, tail), malformed),
    set(option, add(thoff, TCP_HEADER_BYTES)),
    repeat(MAX_TCP_OPTION_SPACE, "options", [
      when(ge(option, sub(end, 1)), [leave("options")]),
      guard(option, 2, malformed),
      // An option of length 0 counts as one byte, so that the search goes on.
      set(bytes, select(or(le(packet(option, 0, 1), TcpOption.NOP), eqz(length)), 1, length)),
      when(eq(packet(option, 0, 1), kind), [
        when(or(gt(add(option, bytes), end), gt(need, bytes)), malformed),
        ret(option),
      ]),
      set(option, add(option, bytes)),
    ]),
    ret(0),
  ];
  return proc(name, { comment, params: [kind, need], result: "i32" }, body);
}

export const nftExthdrTcp = (): Proc =>
  searchOption(FIND_OPTION, "nft_exthdr_tcp_eval (net/netfilter/nft_exthdr.c)", [ret(0)]);
export const nftExthdrTcpSet = (): Proc =>
  searchOption(SETTABLE_OPTION, "nft_exthdr_tcp_set_eval (net/netfilter/nft_exthdr.c)", [ret(MALFORMED)]);

const FIND_IPV4_OPTION = "nft_exthdr_ipv4";
/** IPOPT_*. Those that can be found, and those that can be wrong. */
const IpOption = { END: 0, NOP: 1, RR: 7, TIMESTAMP: 68, LSRR: 131, CIPSO: 134, SSRR: 137, RA: 148 } as const;
/** Of an IPv4 header. */
const MAX_IPOPTLEN = 40;

/** An IPv4 option: a cursor, 0 when there is none, or when any option is wrong. Options are looked for where the hook's data start. */
export const ipv4FindOption = (type: number): Expr => call(FIND_IPV4_OPTION, [type]);

const [recordRoute, timestamp, sourceRoute, strict, alert] = [
  ...[local("record_route"), local("timestamp"), local("source_route"), local("strict"), local("router_alert")],
];
const pointer = local("pointer");
const flag = local("flag");

/** Every option is looked at, as before a socket sets it: source routes must be whole and unused. */
export function nftExthdrIpv4(): Proc {
  const none: Step[] = [ret(0)];
  const type = packet(option, 0, 1);
  const low = and(flag, 15);
  const is = (...types: number[]): Expr => types.map((one) => eq(type, one)).reduce(or);
  const checks: Step[] = [
    when(is(IpOption.LSRR, IpOption.SSRR), [
      when(or(ne(sourceRoute, 0), lt(bytes, 7)), none),
      guard(option, 3, none),
      when(or(ne(packet(option, 2, 1), 4), and(sub(bytes, 3), 3)), none),
      set(sourceRoute, option),
      set(strict, is(IpOption.SSRR)),
    ]),
    when(is(IpOption.RR), [
      when(or(ne(recordRoute, 0), lt(bytes, 3)), none),
      guard(option, 3, none),
      set(pointer, packet(option, 2, 1)),
      when(lt(pointer, 4), none),
      when(and(le(pointer, bytes), gt(add(pointer, 3), bytes)), none),
      set(recordRoute, option),
    ]),
    when(is(IpOption.TIMESTAMP), [
      when(or(ne(timestamp, 0), lt(bytes, 4)), none),
      guard(option, 4, none),
      set(pointer, packet(option, 2, 1)),
      set(flag, packet(option, 3, 1)),
      when(lt(pointer, 5), none),
      when(
        le(pointer, bytes),
        [
          when(gt(add(pointer, 3), bytes), none),
          when(and(or(eq(low, 1), eq(low, 3)), gt(add(pointer, 7), bytes)), none),
        ],
        // No entry fits any more, and the number of those that did not is at its end.
        [when(and(ne(low, 3), ge(flag, 0xf0)), none)],
      ),
      set(timestamp, option),
    ]),
    when(is(IpOption.RA), [
      when(lt(bytes, 4), none),
      guard(option, 4, none),
      when(eqz(packet(option, 2, 2)), [set(alert, option)]),
    ]),
    // cipso_v4_validate: no domain of interpretation is known here.
    when(is(IpOption.CIPSO), none),
  ];
  const body: Step[] = [
    guard(hookData, IPHDR_BYTES, none),
    set(end, add(hookData, shl(and(packet(hookData, 0, 1), 15), 2))),
    set(option, add(hookData, IPHDR_BYTES)),
    when(or(le(end, option), gt(end, tail)), none),
    ...[recordRoute, timestamp, sourceRoute, strict, alert].map((reg) => set(reg, 0)),
    repeat(MAX_IPOPTLEN, "options", [
      when(ge(option, end), [leave("options")]),
      guard(option, 1, none),
      when(eq(type, IpOption.END), [leave("options")]),
      set(bytes, 1),
      when(ne(type, IpOption.NOP), [
        when(lt(sub(end, option), 2), none),
        guard(option, 2, none),
        set(bytes, packet(option, 1, 1)),
        when(or(lt(bytes, 2), gt(bytes, sub(end, option))), none),
        ...checks,
      ]),
      set(option, add(option, bytes)),
    ]),
    when(eq(kind, IpOption.RR), [ret(recordRoute)]),
    when(eq(kind, IpOption.RA), [ret(alert)]),
    when(eq(kind, IpOption.SSRR), [ret(select(strict, sourceRoute, 0))]),
    when(eq(kind, IpOption.LSRR), [ret(select(strict, 0, sourceRoute))]),
    ret(0),
  ];
  const comment = "ipv4_find_option (net/netfilter/nft_exthdr.c), __ip_options_compile (net/ipv4/ip_options.c)";
  return proc(FIND_IPV4_OPTION, { comment, params: [kind], result: "i32" }, body);
}

export const INNER_OFFSET = "nft_payload_inner_offset";

/** A cursor behind the UDP header, or the TCP header with its options; NOWHERE where there is neither. */
export function nftPayloadInnerOffset(): Proc {
  const body: Step[] = [
    when(eq(tprot, IpProtocol.UDP), [when(eq(thoff, NOWHERE), [ret(NOWHERE)]), ret(add(thoff, UDP_HEADER_BYTES))]),
    when(ne(tprot, IpProtocol.TCP), [ret(NOWHERE)]),
    guard(thoff, TCP_HEADER_BYTES, [ret(NOWHERE)]),
    ret(add(thoff, tcpHeaderBytes)),
  ];
  const comment = "__nft_payload_inner_offset (net/netfilter/nft_payload.c)";
  return proc(INNER_OFFSET, { comment, result: "i32" }, body);
}
