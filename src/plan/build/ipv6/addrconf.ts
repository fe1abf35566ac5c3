/**
 * Which address of this host to send from (RFC 6724 section 5), within the destination's VRF.
 * k:net/ipv6/addrconf.c ipv6_dev_get_saddr, ipv6_get_saddr_eval.
 *
 * Of one candidate, what the rules say is one number, the first rule in the highest bits; larger is better:
 *
 *   bit 20    19 .. 12                       11           10          9            8 .. 0
 *   itself    scope s: 128 - s, or s if      own device   same label  same orchid  common bits, at most
 *             it is less than is wanted                                            the prefix length
 */

import { ADDRESS6, ADDRESS6_BYTES, DEVICE, DEVICE_BYTES } from "../../../../runtime/abi/device.ts";
import { NET } from "../../../../runtime/abi/net.ts";
import { Scope6 } from "../../../../runtime/net/in6.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  gt,
  i32,
  le,
  leave,
  local,
  lt,
  mul,
  ne,
  or,
  type Proc,
  repeat,
  ret,
  type Step,
  select,
  set,
  shl,
  sub,
  when,
} from "../../ir.ts";
import { type Context, field, proc } from "../context.ts";
import { l3mdevMaster } from "../l3mdev.ts";
import {
  ipv6AddrDiff,
  ipv6AddrEqual,
  ipv6AddrIsMulticast,
  ipv6AddrLabel,
  ipv6AddrOrchid,
  ipv6AddrSrcScope,
} from "./in6.ts";

const dstDevice = local("dst_dev");
const daddr = local("daddr");
const scope = local("scope");
const label = local("label");
const orchid = local("orchid");
const master = local("master");
/** Only the outgoing device's addresses are candidates. */
const ownLink = local("own_link");
const round = local("round");
const device = local("device");
/** ADDRESS6 of a candidate, and what the rules say of it. */
const candidate = local("candidate");
const score = local("score");
/** Of the best so far; score plus 1, 0: none yet. */
const best = local("best");
const hiscore = local("hiscore");

/**
 * `ipv6_dev_get_saddr(dst_dev, daddr)`: the address, 0: there is none. `dst_dev` 0: no device is known. Rounds: the outgoing device, its VRF,
 * then every device of the domain; of equals the first wins. When the first two rounds have one candidate alone it is taken unseen: whether
 * it will do is asked of scopedist, which only a comparison computes.
 */
export function ipv6DevGetSaddr(context: Context): Proc {
  const nextDevice: Step[] = [
    set(device, select(eqz(round), dstDevice, master)),
    when(gt(round, 1), [
      set(device, add(field(context.layout.offset, NET.devices), deviceOffset)),
      when(ne(l3mdevMaster(device), master), [leave("next_device")]),
    ]),
    when(eqz(device), [leave("next_device")]),
  ];
  const body: Step[] = [
    set(scope, ipv6AddrSrcScope(daddr)),
    set(label, ipv6AddrLabel(daddr)),
    set(orchid, ipv6AddrOrchid(daddr)),
    set(ownLink, and(ne(dstDevice, 0), or(ipv6AddrIsMulticast(daddr), le(scope, Scope6.LINKLOCAL)))),
    set(master, 0),
    when(dstDevice, [set(master, l3mdevMaster(dstDevice))]),
    when(and(ne(master, 0), eqz(ownLink)), [when(eq(preferredCount, 1), [ret(onlyPreferred)])]),
    set(best, 0),
    set(hiscore, 0),
    set(round, 0),
    repeat(
      select(ownLink, 1, add(field(context.layout.offset, NET.deviceCount), 2)),
      "devices",
      [block("next_device", [...nextDevice, ...tryAddresses]), set(round, add(round, 1))],
      "devices",
    ),
    ret(best),
  ];
  const comment = "ipv6_dev_get_saddr (net/ipv6/addrconf.c)";
  return proc(context.name("ipv6_dev_get_saddr"), { comment, params: [dstDevice, daddr], result: "i32" }, body);
}

/** From round 2 on the devices follow each other. */
const deviceOffset: Expr = mul(sub(round, 2), DEVICE_BYTES);

/** Candidates of the outgoing device and of its VRF; one that is itself the VRF counts twice. */
const preferredCount = add(field(dstDevice, DEVICE.addressCount6), field(master, DEVICE.addressCount6));
const onlyPreferred = field(select(field(dstDevice, DEVICE.addressCount6), dstDevice, master), DEVICE.addresses6);

/** The address's scope when it is less than the destination's, else the better the nearer. */
const candidateScope = field(candidate, ADDRESS6.scope);
const scopeRule = select(lt(candidateScope, scope), candidateScope, sub(128, candidateScope));
const commonBits = ipv6AddrDiff(candidate, daddr);
const prefixLength = field(candidate, ADDRESS6.prefixLength);

/** The rules in their order, each with the bits that its value takes. */
const RULES: readonly (readonly [Expr, number])[] = [
  [ipv6AddrEqual(candidate, daddr), 1],
  [scopeRule, 8],
  [or(eqz(dstDevice), eq(device, dstDevice)), 1],
  [eq(field(candidate, ADDRESS6.label), label), 1],
  [eq(field(candidate, ADDRESS6.orchid), orchid), 1],
  [select(lt(commonBits, prefixLength), commonBits, prefixLength), 9],
];

/** ipv6_get_saddr_eval */
const evaluated: Expr = RULES.reduce((sum, [value, bits]) => or(shl(sum, bits), value), i32(0));

const tryAddresses: Step[] = [
  set(candidate, field(device, DEVICE.addresses6)),
  repeat(
    field(device, DEVICE.addressCount6),
    "addresses",
    [
      set(score, add(evaluated, 1)),
      when(gt(score, hiscore), [set(hiscore, score), set(best, candidate)]),
      set(candidate, add(candidate, ADDRESS6_BYTES)),
    ],
    "addresses",
  ),
];
