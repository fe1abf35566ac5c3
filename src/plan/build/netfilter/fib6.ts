/**
 * `fib` of IPv6 (fib.ts).
 * k:net/ipv6/netfilter/nft_fib_ipv6.c nft_fib6_eval, __nft_fib6_eval_type; net/ipv6/route.c ip6_route_lookup, ip6_pol_route_lookup,
 * rt6_device_match.
 *
 *   nft_fib6.QUESTION.N() : i32
 *   ip6_route_lookup.N(iface, has_saddr) : i32      the namespace's rules once more, over tables that are asked in another way
 *   ip6_pol_route_lookup.N(entry, iface) : i32
 */
import type { Fib } from "../../../../dsl/chain-model.ts";
import { ADDRESS6, ADDRESS6_BYTES, DEVICE, DEVICE_BYTES } from "../../../../runtime/abi/device.ts";
import {
  FIB_ALIAS,
  FIB_ALIAS6_BYTES,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEXT_HOP,
  NEXT_HOP_BYTES,
  NextHopFlag,
  Route6Flag,
} from "../../../../runtime/abi/fib.ts";
import { NET } from "../../../../runtime/abi/net.ts";
import { LOOPBACK_IFINDEX } from "../../../../runtime/brand.ts";
import { Scope6 } from "../../../../runtime/net/in6.ts";
import { IpProtocol } from "../../../../runtime/net/ipv4.ts";
import { RouteTypeCode } from "../../../../runtime/net/route-types.ts";
import { Errno } from "../../../../runtime/verdict.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  ge,
  i32,
  le,
  leave,
  local,
  lt,
  ne,
  type Operand,
  or,
  type Proc,
  type Reg,
  repeat,
  ret,
  run,
  type Step,
  select,
  set,
  shr,
  sub,
  when,
} from "../../ir.ts";
import { type Context, callNet, field, ifindexOf, ifindexOrZero, proc, readColumn, writeColumn } from "../context.ts";
import { lookupKind } from "../fib_rules.ts";
import { flowi4 } from "../flow.ts";
import { ruleLookup6 } from "../ipv6/fib6_rules.ts";
import {
  HEADER6,
  ipv6AddrAny,
  ipv6AddrEqual,
  ipv6AddrIsLinklocal,
  ipv6AddrIsMulticast,
  ipv6AddrLoopback,
  ipv6AddrNotUnicast,
  ipv6hdr,
  multicastScope,
  routingTclass,
  word6,
} from "../ipv6/in6.ts";
import { FIB6_SELECT_PATH, MAX_COVERS } from "../ipv6/ip6_fib.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import {
  DST_REGS,
  dev,
  dstGateway,
  dstType,
  FLOW_REGS,
  flDaddr,
  flOif,
  flSaddr,
  mark,
  RESULT_REGS,
  resAlias,
  resHop,
  resPrefixLength,
  resType,
} from "../skb.ts";
import { askedDevice, atHook, atPrerouting, deviceOf, isLoopback, kept, questionName, questionsOf } from "./fib.ts";
import { hookIn, hookOut, NO_L4PROTO, tprot } from "./registers.ts";

/** IPV6_ADDR_LINKLOCAL: multicast of that scope too. */
const isLinklocal = (address: Operand): Expr =>
  or(ipv6AddrIsLinklocal(address), and(ipv6AddrIsMulticast(address), eq(multicastScope(address), Scope6.LINKLOCAL)));

const answer = local("answer");
const asked = local("asked");
const input = local("in");
const err = local("err");
const iface = local("iface");
const hasSaddr = local("has_saddr");
const own = local("own");
const route = local("kept_route");
const routeType = local("kept_route_type");

export function fib6Procs(context: Context): Proc[] {
  const questions = questionsOf(context);
  const looksUp = questions.some(({ result }) => result === "oif");
  return [
    ...questions.map((question) => fib6Proc(context, question)),
    ...(questions.length > 0 ? [ipv6ChkAddr(context)] : []),
    ...(looksUp ? [ip6RouteLookup(context), ip6PolRouteLookup(context)] : []),
  ];
}

function fib6Proc(context: Context, question: Fib): Proc {
  const type = question.result === "type";
  const body = type ? evalType(context, question) : evalOif(context, question);
  const comment = `${type ? "nft_fib6_eval_type" : "nft_fib6_eval"} (net/ipv6/netfilter/nft_fib_ipv6.c)`;
  return proc(context.name(questionName(6, question)), { comment, result: "i32", requires: HEADER6 }, body);
}

/** nft_fib6_flowi_init. @param l3mdev a DEVICE or 0 */
function flow(question: Fib, l3mdev: Operand): Step[] {
  const { saddr, daddr } = ipv6hdr;
  const forwarded = question.address === "saddr" && question.iif;
  const [from, to] = question.address === "daddr" ? [saddr, daddr] : [daddr, saddr];
  return [
    ...flowi4({
      iif: forwarded ? select(atHook("forward"), hookOut, LOOPBACK_IFINDEX) : LOOPBACK_IFINDEX,
      l3mdev,
      mark: question.mark ? mark : 0,
      protocol: select(eq(tprot, NO_L4PROTO), 0, tprot),
      tos: routingTclass,
      saddr: from,
      daddr: to,
    }),
    set(iface, isLinklocal(flDaddr)),
    when(iface, [set(flOif, select(asked, ifindexOrZero(asked), ifindexOrZero(dev)))]),
  ];
}

function evalType(context: Context, question: Fib): Step[] {
  const { keep, restore } = kept([...FLOW_REGS, ...RESULT_REGS, ...DST_REGS]);
  const isOwn = question.iif || question.oif ? [when(asked, [set(own, chkAddr(context, flDaddr, asked, 1))])] : [];
  const refused: readonly [Errno, number][] = [
    [Errno.EINVAL, RouteTypeCode.blackhole],
    [Errno.EACCES, RouteTypeCode.prohibit],
    [Errno.EAGAIN, RouteTypeCode.throw],
  ];
  return [
    askedDevice(context, question, asked),
    ...keep,
    set(route, readColumn("route")),
    set(routeType, readColumn("routeType")),
    ...flow(question, select(asked, l3mdevMaster(asked), 0)),
    set(own, 0),
    ...isOwn,
    set(err, callNet(context, "ip6_route_output_flags", lookupKind("nft_fib"), 0)),
    block("answered", [
      when(err, [
        set(
          answer,
          refused.reduce<Expr>(
            (rest, [errno, type]) => select(eq(err, errno), type, rest),
            i32(RouteTypeCode.unreachable),
          ),
        ),
        leave("answered"),
      ]),
      set(answer, RouteTypeCode.anycast),
      when(anycastDestination, [leave("answered")]),
      set(answer, RouteTypeCode.local),
      when(or(own, and(eqz(asked), eq(dstType, RouteTypeCode.local))), [leave("answered")]),
      set(
        answer,
        select(
          ipv6AddrIsMulticast(flDaddr),
          RouteTypeCode.multicast,
          select(ipv6AddrNotUnicast(flDaddr), RouteTypeCode.unspec, RouteTypeCode.unicast),
        ),
      ),
    ]),
    writeColumn("route", route),
    writeColumn("routeType", routeType),
    ...restore,
    ret(answer),
  ];
}

/** Bits of a word of the address behind the route's prefix. */
function hostBits(at: number): Expr {
  const [first, end] = [8 * at, 8 * at + 32];
  const some = select(le(resPrefixLength, first), -1, shr(-1, sub(resPrefixLength, first)));
  return select(ge(resPrefixLength, end), 0, and(word6(flDaddr, at), some));
}

/** RTF_LOCAL or RTF_ANYCAST of the route that was found. */
const isOwnAddress = ne(and(field(resAlias, FIB_ALIAS.flags), Route6Flag.OWN_ADDRESS), 0);

/** ipv6_anycast_destination: an anycast address of the kernel's own, or the first address of a subnet on the link. */
const anycastDestination: Expr = or(
  and(eq(dstType, RouteTypeCode.anycast), isOwnAddress),
  and(and(lt(resPrefixLength, 127), eqz(dstGateway)), eqz([0, 4, 8, 12].map(hostBits).reduce(or))),
);

function evalOif(context: Context, question: Fib): Step[] {
  const { keep, restore } = kept([...FLOW_REGS, ...RESULT_REGS]);
  const duplicateDetection = and(
    and(eq(tprot, IpProtocol.ICMPV6), ipv6AddrAny(ipv6hdr.saddr)),
    isLinklocal(ipv6hdr.daddr),
  );
  const hopDevice = field(resHop, NEXT_HOP.device);
  const named = or(eq(hopDevice, asked), eq(l3mdevMaster(hopDevice), asked));
  return [
    deviceOf(context, input, hookIn),
    askedDevice(context, question, asked),
    when(and(atPrerouting(), or(isLoopback(input), duplicateDetection)), [ret(hookIn)]),
    ...keep,
    ...flow(question, select(input, l3mdevMaster(input), 0)),
    set(answer, 0),
    set(err, callNet(context, "ip6_route_lookup", iface, eqz(ipv6AddrNotUnicast(flSaddr)))),
    when(and(eqz(err), ne(resAlias, 0)), [
      when(eqz(isOwnAddress), [
        when(asked, [when(named, [set(answer, ifindexOf(asked))])], [set(answer, ifindexOf(hopDevice))]),
      ]),
    ]),
    ...restore,
    ret(answer),
  ];
}

// ---- ip6_route_lookup

function ip6RouteLookup(context: Context): Proc {
  const kind = lookupKind("nft_fib");
  const body = ruleLookup6(context, {
    kind,
    hasSaddr: ne(hasSaddr, 0),
    table: (entry) => callNet(context, "ip6_pol_route_lookup", entry, iface),
  });
  const comment = "ip6_route_lookup (net/ipv6/route.c)";
  return proc(context.name("ip6_route_lookup"), { comment, params: [iface, hasSaddr], result: "i32" }, body);
}

const entry = local("entry");
const alias = local("alias");
const hop = local("hop");
const first = local("first");
const device = local("device");
const hash = local("hash");

const isDead = (hop: Reg): Expr => and(field(hop, NEXT_HOP.flags), NextHopFlag.DEAD);

/** 1 or 0. */
const isSettled: Expr = and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED);

/** Of each prefix rt6_device_match: the next hop by the device asked for, or that has the source; else the first. */
function ip6PolRouteLookup(context: Context): Proc {
  const matches = select(flOif, eq(ifindexOf(device), flOif), chkAddr(context, flSaddr, device, iface));
  const found = leave("found");
  const body: Step[] = [
    block("found", [
      repeat(
        MAX_COVERS,
        "covers",
        [
          when(eqz(entry), [leave("covers")]),
          set(alias, add(entry, FIB_ENTRY_BYTES)),
          set(first, field(alias, FIB_ALIAS.nextHops)),
          set(hop, first),
          when(and(eqz(flOif), ipv6AddrAny(flSaddr)), [when(eqz(isDead(first)), [found])]),
          repeat(
            field(entry, FIB_ENTRY.aliases),
            "aliases",
            [
              set(hop, field(alias, FIB_ALIAS.nextHops)),
              repeat(
                field(alias, FIB_ALIAS.hopCount),
                "hops",
                [
                  when(eqz(isDead(hop)), [set(device, field(hop, NEXT_HOP.device)), when(matches, [found])]),
                  set(hop, add(hop, NEXT_HOP_BYTES)),
                ],
                "hops",
              ),
              set(alias, add(alias, FIB_ALIAS6_BYTES)),
            ],
            "aliases",
          ),
          set(alias, add(entry, FIB_ENTRY_BYTES)),
          set(hop, first),
          when(eqz(or(and(ne(flOif, 0), ne(iface, 0)), isDead(first))), [found]),
          set(entry, field(entry, FIB_ENTRY.cover)),
        ],
        "covers",
      ),
      set(resAlias, 0),
      ret(Errno.EAGAIN),
    ]),
    set(resAlias, alias),
    set(resHop, hop),
    set(resType, field(alias, FIB_ALIAS.type)),
    set(resPrefixLength, field(entry, FIB_ENTRY.prefixLength)),
    when(field(alias, FIB_ALIAS.error), [ret(field(alias, FIB_ALIAS.error))]),
    // A settled entry has one next hop, and no siblings.
    when(and(eqz(isSettled), ne(field(hop, NEXT_HOP.family), 0)), [
      set(hash, callNet(context, "rt6_multipath_hash", 1)),
      run(FIB6_SELECT_PATH, [add(entry, FIB_ENTRY_BYTES), field(entry, FIB_ENTRY.aliases), hash, flOif, ne(flOif, 0)]),
    ]),
    ret(0),
  ];
  const comment = "ip6_pol_route_lookup, rt6_device_match (net/ipv6/route.c)";
  return proc(context.name("ip6_pol_route_lookup"), { comment, params: [entry, iface], result: "i32" }, body);
}

// ---- ipv6_chk_addr

const address = local("address");
const strict = local("strict");
const owner = local("owner");
const candidate = local("candidate");
const master = local("master");

/** 1 when the device has the address, or (`strict` 0, and not of its link alone) another of its VRF; outside of VRFs any other. */
const chkAddr = (context: Context, address: Operand, device: Operand, strict: Operand): Expr =>
  callNet(context, "ipv6_chk_addr", address, device, strict);

function ipv6ChkAddr(context: Context): Proc {
  const confined = or(ne(strict, 0), or(ipv6AddrIsLinklocal(address), ipv6AddrLoopback(address)));
  const body: Step[] = [
    set(master, l3mdevMaster(device)),
    set(own, confined),
    set(owner, field(context.layout.offset, NET.devices)),
    repeat(
      field(context.layout.offset, NET.deviceCount),
      "devices",
      [
        block("owner", [
          when(and(ne(own, 0), ne(owner, device)), [leave("owner")]),
          when(master, [when(ne(l3mdevMaster(owner), master), [leave("owner")])]),
          set(candidate, field(owner, DEVICE.addresses6)),
          repeat(
            field(owner, DEVICE.addressCount6),
            "addresses",
            [
              when(ipv6AddrEqual(add(candidate, ADDRESS6.address), address), [ret(1)]),
              set(candidate, add(candidate, ADDRESS6_BYTES)),
            ],
            "addresses",
          ),
        ]),
        set(owner, add(owner, DEVICE_BYTES)),
      ],
      "devices",
    ),
    ret(0),
  ];
  const comment = "ipv6_chk_addr (net/ipv6/addrconf.c)";
  return proc(context.name("ipv6_chk_addr"), { comment, params: [address, device, strict], result: "i32" }, body);
}
