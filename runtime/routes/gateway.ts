/**
 * What the kernel looks up while it checks a route: is the gateway on a link, and by which device; is the source ours
 * (k:net/ipv4/fib_semantics.c fib_check_nh, fib_valid_prefsrc; k:net/ipv4/fib_frontend.c inet_addr_type_table). The flow of such a
 * look-up has neither source nor mark nor TOS, so of a rule only what the manifest says in `gatewayRules` can matter.
 */
import { DEVICE, DeviceFlag } from "../abi/device.ts";
import { FIB_ENTRY, NEXT_HOP, NEXT_HOP_BYTES, NextHopFlag } from "../abi/fib.ts";
import { RT_TABLE_LOCAL, RT_TABLE_MAIN } from "../brand.ts";
import type { GatewayRule } from "../manifest.ts";
import { type Ip, inPrefix, type Prefix, parseIp } from "../net/ip.ts";
import { RouteTypeCode } from "../net/route-types.ts";
import { A, aliasWord } from "./entries.ts";
import type { FibTable } from "./fib.ts";
import type { Image } from "./image.ts";

/** Scopes, larger is nearer (RT_SCOPE_*). */
export const Scope = { UNIVERSE: 0, LINK: 253, HOST: 254, NOWHERE: 255 } as const;

export interface GatewayFlow {
  readonly destination: number;
  /** DEVICE that the next hop must leave by, 0: any. */
  readonly oif: number;
  /** How near the route must be at least. */
  readonly scope: number;
}

export interface Hit {
  /** Word of the alias. */
  readonly alias: number;
  /** Offset of the NEXT_HOP, 0 for a route that refuses. */
  readonly hop: number;
  readonly prefixLength: number;
}
/** `again`: not in this table; `refused`: a route or rule that answers with an error. */
export type Answer = Hit | "again" | "refused";
export const isHit = (answer: Answer): answer is Hit => typeof answer === "object";

/** What both families' look-ups need. */
export interface RulesContext {
  readonly image: Image;
  readonly rules: readonly ParsedRule[];
  /** The kernel of the profile 5.4 binds a flow to the VRF in place of its slave. */
  readonly kernel: string;
}

export interface GatewayContext extends RulesContext {
  table(id: number): FibTable | null;
}

export type ParsedRule = Omit<GatewayRule, "to"> & { readonly to: Prefix | null };

export const parsedRules = (rules: readonly GatewayRule[]): ParsedRule[] =>
  rules.map((rule) => {
    const [address, length] = rule.to?.split("/") ?? [];
    return { ...rule, to: rule.to === null ? null : { address: parseIp(address) ?? 0, length: Number(length) } };
  });

/** fib_table_lookup */
export function tableLookup({ image }: GatewayContext, table: FibTable, flow: GatewayFlow): Answer {
  const { words } = image;
  const { trie } = table;
  for (let node = trie.covering(flow.destination); node !== 0; node = trie.coverOf(node)) {
    const entry = table.entryOf(node);
    for (let i = 0; i < words[(entry + FIB_ENTRY.aliases) >>> 2]; i++) {
      const alias = aliasWord(entry, i);
      if (words[alias + A.tos] !== 0 || words[alias + A.scope] < flow.scope) continue;
      if (words[alias + A.type] === RouteTypeCode.throw) return "again";
      if (words[alias + A.error] !== 0) return "refused";
      const hop = goodHop(words, alias, flow.oif);
      if (hop !== 0) return { alias, hop, prefixLength: trie.lengthOf(node) };
    }
  }
  return "again";
}

/** fib_lookup_good_nhc; without a look at the carrier (FIB_LOOKUP_IGNORE_LINKSTATE), dead is dead. */
function goodHop(words: Uint32Array, alias: number, oif: number): number {
  const first = words[alias + A.nextHops];
  for (let i = 0; i < words[alias + A.hopCount]; i++) {
    const hop = first + i * NEXT_HOP_BYTES;
    const isDead = (words[(hop + NEXT_HOP.flags) >>> 2] & NextHopFlag.DEAD) !== 0;
    const device = words[(hop + NEXT_HOP.device) >>> 2];
    if (!isDead && (oif === 0 || oif === device)) return hop;
  }
  return 0;
}

/**
 * fib_rules_lookup
 * @param look looks into a table: "again" where there is none
 */
export function rulesLookup(
  { image, rules, kernel }: RulesContext,
  flow: { readonly destination: Ip; readonly oif: number },
  look: (table: number, oif: number) => Answer,
): Answer {
  // A table that is read for the first time may make the memory grow.
  const read = (device: number, field: keyof typeof DEVICE): number => image.words[(device + DEVICE[field]) >>> 2];
  const vrf = flow.oif === 0 ? 0 : l3mdevMaster(image.words, flow.oif);
  const oif = vrf === 0 ? flow.oif : kernel === "5.4" ? vrf : flow.oif === vrf ? 0 : flow.oif;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i];
    const selected =
      !rule.never &&
      (rule.oif === null || (oif !== 0 && read(oif, "ifindex") === rule.oif)) &&
      (!rule.l3mdev || vrf !== 0) &&
      (rule.to === null || inPrefix(rule.to, flow.destination));
    if (selected === rule.not || rule.action === "nop") continue;
    if (rule.action === "goto") {
      if (rule.target !== null && rule.target > i) i = rule.target - 1;
      continue;
    }
    if (rule.action === "refuse") return "refused";
    const id = rule.table ?? (vrf === 0 ? null : read(vrf, "tableId"));
    const answer = id === null ? "again" : look(id, oif);
    if (answer === "again") continue;
    if (isHit(answer) && suppresses(image.words, rule, answer)) continue;
    return answer;
  }
  return "again";
}

/** fib4_rule_suppress */
function suppresses(words: Uint32Array, rule: ParsedRule, { hop, prefixLength }: Hit): boolean {
  const group = words[(words[(hop + NEXT_HOP.device) >>> 2] + DEVICE.group) >>> 2];
  return prefixLength <= rule.suppressPrefixLength || group === rule.suppressIfGroup;
}

/** l3mdev_master: the DEVICE of the VRF of a slave or of the VRF itself, 0: none. */
export function l3mdevMaster(words: Uint32Array, device: number): number {
  const isVrf = (words[(device + DEVICE.flags) >>> 2] & DeviceFlag.VRF) !== 0;
  return isVrf ? device : words[(device + DEVICE.master) >>> 2];
}

/** inet_addr_type_table: RTN_* of an address as a table sees it. */
export function addrType(context: GatewayContext, address: number, id: number): number {
  if (address >>> 24 === 0 || address === 0xffffffff) return RouteTypeCode.broadcast;
  if (address >>> 28 === 0xe) return RouteTypeCode.multicast;
  const table = context.table(id);
  if (table === null) return RouteTypeCode.broadcast;
  const answer = tableLookup(context, table, { destination: address, oif: 0, scope: Scope.UNIVERSE });
  return isHit(answer) ? context.image.words[answer.alias + A.type] : RouteTypeCode.unicast;
}

/** fib_valid_prefsrc: ours in the route's table, or in local. */
export const isValidPrefsrc = (context: GatewayContext, source: number, table: number): boolean =>
  [table === RT_TABLE_MAIN ? RT_TABLE_LOCAL : table, RT_TABLE_LOCAL].some(
    (id) => addrType(context, source, id) === RouteTypeCode.local,
  );
