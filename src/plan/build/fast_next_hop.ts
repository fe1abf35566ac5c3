/**
 * The short way's stage of next hops (fast_forward.ts): fib_result, rt_nexthop, neigh_ha. A next hop remembers what a frame by it begins with, as the kernel
 * does (hh_cache), so that most packets find link-layer addresses and MTU in the one record, and neither neighbour nor device is read.
 */
import { Scope } from "../../../dsl/model.ts";
import { DEVICE, DeviceFlag } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, FIB_ENTRY, FIB_ENTRY_BYTES, FibEntryFlag, NEXT_HOP } from "../../../runtime/abi/fib.ts";
import { NEIGHBOUR, NEIGHBOUR_BYTES, NEIGHBOUR_TABLE } from "../../../runtime/abi/neighbour.ts";
import { NET } from "../../../runtime/abi/net.ts";
import { EtherType } from "../../../runtime/net/ethernet.ts";
import {
  add,
  and,
  block,
  eq,
  eqz,
  i64,
  leave,
  load,
  local,
  mul,
  ne,
  or,
  type Proc,
  ret,
  type Step,
  select,
  set,
  shl,
  store,
  unary,
  when,
  xor,
} from "../ir.ts";
import { atomicTryCmpxchg } from "./atomic.ts";
import { type Context, callNet, field, proc } from "./context.ts";
import { entry } from "./fast_lookup.ts";
import {
  distances,
  emptyList,
  enlist,
  HELD,
  hop,
  known,
  LISTS,
  listed,
  looked,
  readAt,
  stage,
  writeAt,
} from "./fast_stages.ts";
import { neighbourHash } from "./neighbour.ts";

const out = local("out");
const daddr = local("daddr");
const gateway = local("gateway");
const ifindex = local("ifindex");
const neighbours = local("neighbours");
const changes = local("changes");
const stale = local("stale");
const mask = local("mask");
const place = local("place");

/** What a next hop's `changes` differs by from the neighbour table's, where its destinations are on the link. */
const ON_LINK = 1 << 31;

/**
 * One next hop, and where the MAC that frames go to stands: in the next hop, as long as nothing has changed since it was found; for a destination on
 * the link in the NEIGHBOUR, which mostly is in its first place. That place is made of the word that says so: with several threads what is read there
 * cannot be older (a processor keeps to the order of loads of which one needs the other).
 */
export function nextHop(context: Context): Step[] {
  const alias = (name: keyof typeof FIB_ALIAS) => field(entry, FIB_ENTRY_BYTES + FIB_ALIAS[name]);
  const differs = [set(hop, alias("nextHops")), set(stale, xor(field(hop, NEXT_HOP.changes), changes))];
  const onLink = unary("bswap32", readAt(HELD.destination));
  return [
    ...distances(HELD.known),
    set(neighbours, field(context.layout.offset, NET.neighbours)),
    set(changes, field(neighbours, NEIGHBOUR_TABLE.changes)),
    emptyList(LISTS.onLink),
    ...stage(looked, "next hops", [
      set(entry, readAt(HELD.entry)),
      set(known, 0),
      block("listed", [
        block("unroutable", [
          when(eqz(entry), [leave("unroutable")]),
          when(eqz(and(field(entry, FIB_ENTRY.flags), FibEntryFlag.FORWARDS)), [leave("unroutable")]),
          ...differs,
          when(stale, [...enlist(LISTS.onLink), leave("listed")]),
          set(known, add(add(hop, NEXT_HOP.mac), stale)),
        ]),
        writeAt(HELD.known, known),
      ]),
    ]),
    set(mask, field(neighbours, NEIGHBOUR_TABLE.mask)),
    set(neighbours, add(neighbours, NEIGHBOUR_TABLE.slots)),
    emptyList(LISTS.neighbour),
    ...listed(LISTS.onLink, [
      set(entry, readAt(HELD.entry)),
      ...differs,
      block("known", [
        block("elsewhere", [
          when(ne(stale, ON_LINK), [leave("elsewhere")]),
          set(ifindex, field(hop, NEXT_HOP.ifindex)),
          set(gateway, onLink),
          ...neighbourHash(place, xor(gateway, ifindex)),
          set(known, add(neighbours, mul(and(place, mask), NEIGHBOUR_BYTES))),
          when(ne(field(known, NEIGHBOUR.device), ifindex), [leave("elsewhere")]),
          when(ne(field(known, NEIGHBOUR.family), 4), [leave("elsewhere")]),
          when(ne(field(known, NEIGHBOUR.address), gateway), [leave("elsewhere")]),
          writeAt(HELD.known, add(known, NEIGHBOUR.mac)),
          leave("known"),
        ]),
        ...enlist(LISTS.neighbour),
      ]),
    ]),
    ...listed(LISTS.neighbour, [
      set(entry, readAt(HELD.entry)),
      writeAt(HELD.known, callNet(context, "fast_next_hop", alias("nextHops"), readAt(HELD.destination))),
    ]),
  ];
}

/** `fast_next_hop(hop, daddr)`: rt_nexthop, neigh_ha: where the MAC stands that frames to `daddr` go to; 0: it is not known, or the device does not send. */
export function fastNextHop(context: Context): Proc {
  const isGateway = local("is_gateway");
  const found = local("found", "i64");
  const before = load("image", 8, hop, NEXT_HOP.mtu);
  // Other threads read the rest when they see it.
  const publish = context.threads
    ? atomicTryCmpxchg(add(hop, NEXT_HOP.mtu), before, found)
    : store("image", 8, hop, NEXT_HOP.mtu, found);
  const body = [
    set(out, field(hop, NEXT_HOP.device)),
    // What lo and VRF devices are given to send does not leave.
    when(ne(and(field(out, DEVICE.flags), DeviceFlag.UP | DeviceFlag.LOOPBACK | DeviceFlag.VRF), DeviceFlag.UP), [
      ret(0),
    ]),
    set(isGateway, and(ne(field(hop, NEXT_HOP.family), 0), eq(field(hop, NEXT_HOP.scope), Scope.LINK))),
    set(gateway, select(isGateway, unary("bswap32", field(hop, NEXT_HOP.gateway)), daddr)),
    set(known, callNet(context, "neighbour_4", out, gateway)),
    when(eqz(known), [ret(0)]),
    set(known, add(known, NEIGHBOUR.mac)),
    set(changes, field(field(context.layout.offset, NET.neighbours), NEIGHBOUR_TABLE.changes)),
    set(changes, xor(changes, select(isGateway, 0, ON_LINK))),
    when(ne(field(hop, NEXT_HOP.changes), changes), [
      store("image", 8, hop, NEXT_HOP.mac, load("image", 8, known)),
      store("image", 8, hop, NEXT_HOP.sender, or(load("image", 8, out, DEVICE.mac), i64(SENDS_IPV4))),
      set(found, or(shl(unary("extend", changes), i64(32n)), unary("extend", field(out, DEVICE.mtu)))),
      publish,
    ]),
    ret(select(isGateway, add(hop, NEXT_HOP.mac), known)),
  ];
  const comment = "rt_nexthop, neigh_resolve_output: found once, remembered as in hh_cache";
  return proc(context.name("fast_next_hop"), { comment, params: [hop, daddr], result: "i32" }, body);
}
/** The EtherType behind 6 bytes, as it lies. */
const SENDS_IPV4 = BigInt(((EtherType.IPV4 & 0xff) << 8) | (EtherType.IPV4 >>> 8)) << 48n;
