/** Flows: setting all fields of one, and the protocol and ports of a packet for it (k:net/core/flow_dissector.c). */

import type { Net } from "../../../dsl/model.ts";
import { LOOPBACK_IFINDEX } from "../../../runtime/brand.ts";
import type { Family } from "../../../runtime/net/ip.ts";
import { IpProtocol } from "../../../runtime/net/ipv4.ts";
import {
  add,
  eq,
  eqz,
  guard,
  local,
  type Operand,
  or,
  type Proc,
  packet,
  type Reg,
  ret,
  run,
  type Step,
  select,
  set,
  when,
} from "../ir.ts";
import { type Context, proc } from "./context.ts";
import { HEADER, iphdr, isFragment } from "./in.ts";
import {
  flDaddr,
  flDport,
  flFlags,
  flIif,
  flL3mdev,
  flMark,
  flOif,
  flProto,
  flSaddr,
  flSport,
  flTos,
  flUid,
  l3,
} from "./skb.ts";

interface FlowFields {
  readonly saddr: Operand;
  readonly daddr: Operand;
  readonly tos: Operand;
  /** lo when absent, as for all that starts on this host. */
  readonly iif?: Operand;
  readonly oif?: Operand;
  /** A DEVICE. */
  readonly l3mdev?: Operand;
  readonly mark?: Operand;
  readonly uid?: Operand;
  readonly protocol?: Operand;
  readonly flags?: Operand;
}

/** Everything 0 but what is given. Addresses are set last: they may be read from the old flow. */
export const flowi4 = (fields: FlowFields): Step[] => [
  set(flIif, fields.iif ?? LOOPBACK_IFINDEX),
  set(flOif, fields.oif ?? 0),
  set(flL3mdev, fields.l3mdev ?? 0),
  set(flMark, fields.mark ?? 0),
  set(flTos, fields.tos),
  set(flProto, fields.protocol ?? 0),
  set(flSport, 0),
  set(flDport, 0),
  set(flUid, fields.uid ?? 0),
  set(flFlags, fields.flags ?? 0),
  set(flSaddr, fields.saddr),
  set(flDaddr, fields.daddr),
];

/** fib4_rules_early_flow_dissect: only rules that ask for protocol or ports make the kernel look at them. */
export const dissect = ({ net }: Context): Step[] => (requiresDissection(net, 4) ? [run(DISSECT)] : []);

/** fib_rules_require_fldissect, fib6_rules_require_fldissect */
export const requiresDissection = (net: Net, family: Family): boolean =>
  net.rules.some(
    (rule) =>
      rule.family === family &&
      rule.iif?.ifindex !== LOOPBACK_IFINDEX &&
      (rule.ipproto !== 0 || rule.sport !== null || rule.dport !== null),
  );

export const DISSECT = "skb_flow_dissect_flow_keys";

const { TCP, UDP, DCCP, ESP, SCTP, UDPLITE } = IpProtocol;
/** Protocols whose header starts with two ports (proto_ports_offset); ESP's SPI counts as ports. */
const PORTS_FIRST = [TCP, UDP, DCCP, ESP, SCTP, UDPLITE];
/** AH's SPI stands behind four bytes. */
const AH_SPI = 4;

/** Sets `fl_sport` and `fl_dport` from the header at `l4` of protocol `fl_proto`; one that has no ports, or is not all there, returns. */
export function flowPorts(l4: Reg): Step[] {
  const startsWithPorts = PORTS_FIRST.map((protocol) => eq(flProto, protocol)).reduce(or);
  const isAh = eq(flProto, IpProtocol.AH);
  return [
    when(eqz(or(startsWithPorts, isAh)), [ret()]),
    set(l4, add(l4, select(isAh, AH_SPI, 0))),
    guard(l4, 4, [ret()]),
    set(flSport, packet(l4, 0, 2)),
    set(flDport, packet(l4, 2, 2)),
  ];
}

/**
 * Sets `fl_proto`, `fl_sport` and `fl_dport` from the packet. A fragment, the first one too, has no ports; nor has a packet
 * that ends before them.
 */
export function skbFlowDissect(): Proc {
  const l4 = local("l4");
  const body: Step[] = [
    set(flProto, iphdr.protocol),
    set(flSport, 0),
    set(flDport, 0),
    when(isFragment, [ret()]),
    set(l4, add(l3, iphdr.length)),
    ...flowPorts(l4),
    ret(),
  ];
  const comment = "skb_flow_dissect_flow_keys (net/core/flow_dissector.c)";
  return proc(DISSECT, { comment, requires: HEADER }, body);
}
