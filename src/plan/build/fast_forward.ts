/**
 * The short way: an IPv4 frame that is forwarded from one device to another, with nothing on its way that could say otherwise.
 *
 *   fast_forward.N(row, stride) : i32      1: the packet at `row` has got its verdict; 0: nothing has happened to it, and packet.N shall judge it
 *
 *     frame        of an interface that is up, for its own address, IPv4, no options, header sums up, TTL above 1
 *     addresses    neither end is multicast, broadcast, zero or loopback
 *     destination  fib_lookup ends at a unicast route that answers every flow (SETTLED), with one next hop, out of another device
 *     source       its way back ends at such a route too, or at none, and the device's rp_filter has no objection
 *     neighbour    known
 *     size         within the route's MTU
 *
 * Whatever fails one of these takes the long way, from its first byte: nothing is written before all have held. So this
 * proc says nothing of its own about Linux; it is the straight line through receive.ts, ip_input.ts, route_input.ts, source.ts,
 * forward.ts, output.ts and neighbour.ts, its values in registers. Traces are taken on the long way alone (the plan that is
 * traced has no fast_forward), and tests hold the two against each other. Where a namespace's rule list asks more of a packet than
 * its VRF, or where a chain or a program looks at IPv4, there is none; while programs are attached there, no packet takes it.
 */
import { type Rule, Scope } from "../../../dsl/model.ts";
import {
  COUNTERS,
  DEVICE,
  DeviceFlag,
  FIB_ALIAS,
  FIB_ENTRY,
  FIB_ENTRY_BYTES,
  FibEntryFlag,
  NEIGHBOUR,
  NEXT_HOP,
  RouteTypeCode,
  TABLE,
} from "../../../runtime/abi.ts";
import { COLUMN, type Column, RESULT_COLUMNS } from "../../../runtime/batch.ts";
import { ETHERNET_HEADER_BYTES, EtherType } from "../../../runtime/net/ethernet.ts";
import { Entry, Errno, Verdict } from "../../../runtime/verdict.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  expr,
  ge,
  gt,
  guard,
  i64,
  leave,
  load,
  local,
  lt,
  mul,
  ne,
  type Operand,
  or,
  type Proc,
  packet,
  put,
  type Reg,
  ret,
  type Step,
  select,
  set,
  shr,
  store,
  sub,
  tail,
  unary,
  when,
  xor,
} from "../ir.ts";
import { type Context, callNet, field, ifindexOf, macHigh, macLow, proc, thisWorker } from "./context.ts";
import { switchShape } from "./devinet.ts";
import { rtTos2priority } from "./forward.ts";
import { IPHDR_BYTES } from "./in.ts";
import { linkedAt } from "./links.ts";

const mac = local("mac");
const device = local("device");
const flags = local("flags");
const vrf = local("vrf");
const table = local("table");
const entry = local("entry");
const alias = local("alias");
const hop = local("hop");
const out = local("out");
const saddr = local("saddr");
const daddr = local("daddr");
const size = local("size");
const sum = local("sum", "i64");
const mtu = local("mtu");
const gateway = local("gateway");
const known = local("known");
const rpFilter = local("rp_filter");
const check = local("check");
const cell = local("cell");
/** Parameters, not the registers of the same names: those are in memory. */
const row = local("row");
const stride = local("stride");
const readColumn = (column: Column): Expr => load("batch", 4, add(row, mul(stride, COLUMN(column))));

/** Of the IPv4 header behind the Ethernet header. */
const header = (offset: number, bytes: 1 | 2 | 4): Expr => packet(mac, ETHERNET_HEADER_BYTES + offset, bytes);

/** Whether the namespace has it. */
export function hasFastForward({ net }: Context): boolean {
  const looks = net.netfilter.hooks.some(({ family }) => family !== 6);
  return (
    !looks &&
    net.netfilter.programs.length === 0 &&
    net.rules.filter(({ family }) => family === 4).every(asksForVrfAlone)
  );
}

/** The rule looks a table up for every packet, or for every packet of a VRF its table. */
function asksForVrfAlone(rule: Rule): boolean {
  const { not, from, to, iif, oif, fwmark, tos, ipproto, sport, dport, uidrange } = rule;
  const selects = [from, to, iif, oif, fwmark, sport, dport, uidrange].some((selector) => selector !== null);
  const suppresses = rule.suppressPrefixLength >= 0 || rule.suppressIfGroup >= 0;
  if (selects || not || tos !== 0 || ipproto !== 0 || suppresses) return false;
  return rule.action.kind === "lookup" && rule.l3mdev === (rule.action.table === null);
}

/** Of a packet that is forwarded, but for xdp, whose programs come before. */
const HOOKS_PASSED = [
  ...[["tc ingress", null] as const, ["netdev ingress", null] as const],
  ...[["prerouting", 4] as const, ["forward", 4] as const, ["postrouting", 4] as const],
  ...[["netdev egress", null] as const, ["tc egress", null] as const],
];

const slow: Step = ret(0);
const slowIf = (condition: Expr): Step => when(condition, [slow]);

export function fastForward(context: Context): Proc {
  const body: Step[] = [
    slowIf(ne(readColumn("entry"), Entry.RECEIVE)),
    slowIf(linkedAt(context, HOOKS_PASSED)),
    ...receive(context),
    ...ipRcvCore,
    ...addresses,
    set(vrf, select(and(flags, DeviceFlag.VRF), device, field(device, DEVICE.master))),
    ...validateSource(context),
    ...destination(context),
    ...neighbour(context),
    ...forward,
    ...transmit(context),
    ret(1),
  ];
  const comment = "the straight line from netif_receive_skb to dev_queue_xmit";
  return proc(context.name("fast_forward"), { comment, params: [row, stride], result: "i32" }, body);
}

/** dev_receive, netif_receive_skb: for this host, IPv4, untagged. */
const receive = (context: Context): Step[] => [
  set(mac, readColumn("data")),
  set(tail, add(mac, readColumn("length"))),
  set(device, callNet(context, "dev_get_by_index", readColumn("device"))),
  slowIf(eqz(device)),
  set(flags, field(device, DEVICE.flags)),
  // A packet is not for an address of lo or of a VRF device without more ado.
  slowIf(ne(and(flags, UP | DeviceFlag.LOOPBACK | DeviceFlag.VRF), UP)),
  guard(mac, ETHERNET_HEADER_BYTES + IPHDR_BYTES, [slow]),
  slowIf(ne(packet(mac, 12, 2), EtherType.IPV4)),
  slowIf(ne(packet(mac, 0, 4), macHigh(device))),
  slowIf(ne(packet(mac, 4, 2), macLow(device))),
  set(size, sub(tail, mac)),
  slowIf(gt(size, add(field(device, DEVICE.mtu), ETHERNET_HEADER_BYTES))),
];
const UP = DeviceFlag.UP | DeviceFlag.FORWARDING;

const ipRcvCore: Step[] = [
  slowIf(ne(header(0, 1), 0x45)),
  set(
    sum,
    // Ones' complement sums do not mind the order of the bytes (RFC 1071 section 2 (B)): as they lie.
    [0, 4, 8, 12, 16].map((at) => unary("extend", unary("bswap32", header(at, 4)))).reduce((a, b) => add(a, b)),
  ),
  set(sum, add(shr(sum, i64(32n)), and(sum, i64(0xffffffffn)))),
  set(sum, add(shr(sum, i64(16n)), and(sum, i64(0xffffn)))),
  set(sum, add(shr(sum, i64(16n)), and(sum, i64(0xffffn)))),
  slowIf(ne(unary("wrap", sum), 0xffff)),
  slowIf(lt(sub(size, ETHERNET_HEADER_BYTES), header(2, 2))),
  set(size, header(2, 2)),
  slowIf(lt(size, IPHDR_BYTES)),
  slowIf(lt(header(8, 1), 2)),
];

/** Ordinary unicast at both ends: 1.0.0.0 to 223.255.255.255 without 127/8. */
const addresses: Step[] = [
  set(saddr, header(12, 4)),
  set(daddr, header(16, 4)),
  ...[saddr, daddr].flatMap((address) => [
    slowIf(ge(sub(shr(address, 24), 1), 0xdf)),
    slowIf(eq(shr(address, 24), 127)),
  ]),
];

/** fib_lookup: `entry` of the first table that has one, in the order of the rules; 0: none. */
function fibLookup(context: Context, address: Reg): Step[] {
  const rules = context.net.rules.filter(({ family }) => family === 4);
  const vrfTables = context.net.devices.flatMap((device) => context.layout.tables.get(device.table) ?? []);
  const asked = rules.map(({ action }): Step[] => {
    const id = action.kind === "lookup" ? action.table : null;
    if (id === null)
      return [
        set(table, select(vrf, field(vrf, DEVICE.table), 0)),
        when(table, switchShape(context, entry, table, vrfTables, address)),
        when(entry, [leave("found")]),
      ];
    const found = context.layout.tables.get(id);
    return found === undefined
      ? []
      : [
          when(canMatch(found.offset, address), switchShape(context, entry, found.offset, [found], address)),
          when(entry, [leave("found")]),
        ];
  });
  return [set(entry, 0), block("found", asked.flat())];
}

/** Table local is often all in 127/8: then it need not be asked. */
const canMatch = (table: number, address: Reg): Expr =>
  eqz(and(xor(address, field(table, TABLE.network)), field(table, TABLE.mask)));

/** The route that answers at once: its alias. */
const settled: Step[] = [
  slowIf(eqz(and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED))),
  set(alias, add(entry, FIB_ENTRY_BYTES)),
];

/** fib_validate_source. No way back, or one that refuses, is an objection only to rp_filter. */
const validateSource = (context: Context): Step[] => [
  set(rpFilter, field(device, DEVICE.rpFilter)),
  ...fibLookup(context, saddr),
  block("valid", [
    when(entry, [
      ...settled,
      when(field(alias, FIB_ALIAS.error), [
        slowIf(or(rpFilter, eq(field(alias, FIB_ALIAS.error), Errno.EAGAIN))),
        leave("valid"),
      ]),
      slowIf(ne(field(alias, FIB_ALIAS.type), RouteTypeCode.unicast)),
      when(eqz(rpFilter), [leave("valid")]),
      slowIf(ne(field(field(alias, FIB_ALIAS.nextHops), NEXT_HOP.device), device)),
      leave("valid"),
    ]),
    slowIf(expr(rpFilter)),
  ]),
];

/** ip_route_input_slow, ip_mkroute_input: one next hop, on another device. */
const destination = (context: Context): Step[] => [
  ...fibLookup(context, daddr),
  slowIf(eqz(entry)),
  ...settled,
  slowIf(ne(field(alias, FIB_ALIAS.type), RouteTypeCode.unicast)),
  slowIf(ne(field(alias, FIB_ALIAS.hopCount), 1)),
  set(hop, field(alias, FIB_ALIAS.nextHops)),
  set(out, field(hop, NEXT_HOP.device)),
  slowIf(eq(out, device)),
  // What lo and VRF devices are given to send does not leave.
  slowIf(ne(and(field(out, DEVICE.flags), DeviceFlag.UP | DeviceFlag.LOOPBACK | DeviceFlag.VRF), DeviceFlag.UP)),
  set(mtu, field(alias, FIB_ALIAS.mtu)),
  set(mtu, select(mtu, mtu, field(out, DEVICE.mtu))),
  slowIf(gt(size, mtu)),
];

/** rt_nexthop, neigh_ha. */
const neighbour = (context: Context): Step[] => [
  set(gateway, daddr),
  when(and(ne(field(hop, NEXT_HOP.family), 0), eq(field(hop, NEXT_HOP.scope), Scope.LINK)), [
    slowIf(ne(field(hop, NEXT_HOP.family), 4)),
    set(gateway, unary("bswap32", field(hop, NEXT_HOP.gateway))),
  ]),
  set(known, callNet(context, "neighbour_4", out, gateway)),
  slowIf(eqz(known)),
];

/** ip_forward: from here on the packet is written to. */
const forward: Step[] = [
  store("batch", 4, add(row, mul(stride, COLUMN("priority"))), 0, rtTos2priority(header(1, 1))),
  set(check, add(header(10, 2), 0x100)),
  put(mac, ETHERNET_HEADER_BYTES + 10, 2, add(check, ge(check, 0xffff))),
  put(mac, ETHERNET_HEADER_BYTES + 8, 1, sub(header(8, 1), 1)),
  put(mac, 0, 4, macHigh(known, NEIGHBOUR.mac)),
  put(mac, 4, 2, macLow(known, NEIGHBOUR.mac)),
  put(mac, 6, 4, macHigh(out)),
  put(mac, 10, 2, macLow(out)),
];

function transmit(context: Context): Step[] {
  const counters = thisWorker(context, context.layout.counters);
  const columns: Partial<Record<Column, Operand>> = {
    verdict: Verdict.TRANSMIT,
    outDevice: ifindexOf(out),
    l3: add(mac, ETHERNET_HEADER_BYTES),
    routeType: field(alias, FIB_ALIAS.type),
    route: field(alias, FIB_ALIAS.route),
  };
  const count = COUNTERS.verdicts + 8 * Verdict.TRANSMIT;
  return [
    set(cell, add(row, mul(stride, COLUMN("length")))),
    store("batch", 4, cell, 0, add(size, ETHERNET_HEADER_BYTES)),
    set(cell, add(cell, stride)),
    ...RESULT_COLUMNS.flatMap((column) => [
      set(cell, add(cell, stride)),
      store("batch", 4, cell, 0, columns[column] ?? 0),
    ]),
    store("image", 8, counters, count, add(load("image", 8, counters, count), i64(1n))),
  ];
}
