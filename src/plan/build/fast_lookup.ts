/** What the short way (fast_forward.ts) asks of tables: fib_lookup where the rules ask for tables alone, and fib_validate_source of plain routes. */
import { DEVICE } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS, FIB_ENTRY, FIB_ENTRY_BYTES, FibEntryFlag, NEXT_HOP, TABLE } from "../../../runtime/abi/fib.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { Errno } from "../../../runtime/verdict.ts";
import { FILTER_FACTOR } from "../../source-filter.ts";
import {
  add,
  and,
  block,
  type Expr,
  eq,
  eqz,
  expr,
  leave,
  load,
  local,
  mul,
  ne,
  or,
  type Proc,
  type Reg,
  ret,
  type Step,
  set,
  shr,
  when,
  xor,
} from "../ir.ts";
import { type Context, field, proc } from "./context.ts";
import { type InlineLookup, switchShape, vrfTables } from "./devinet.ts";

/** Registers that these steps have in common with the stages. */
export const device = local("device");
export const entry = local("entry");
const saddr = local("saddr");

const alias = local("alias");
export const image = local("image");
const rpFilter = local("rp_filter");
const table = local("table");

/**
 * fib_lookup: `entry` of the first table that has one, in the order of the rules; 0: none.
 * @param inline absent: code is called. `toLeaf` is of VRFs' tables alone
 */
export function fibLookup(context: Context, address: Reg, inline: Omit<InlineLookup, "image"> | null = null): Step[] {
  const rules = context.net.rules.filter(({ family }) => family === 4);
  const ofVrfs = vrfTables(context, 4);
  const whole = inline && { ...inline, image, toLeaf: () => null };
  const asked = rules.map(({ action }): Step[] => {
    const id = action.kind === "lookup" ? action.table : null;
    if (id === null)
      return [
        // The device is no VRF itself: it has the table of its VRF.
        set(table, field(device, DEVICE.table)),
        when(table, switchShape(context, entry, table, ofVrfs, address, inline && { ...inline, image })),
        when(entry, [leave("found")]),
      ];
    const found = context.layout.tables.get(id);
    return found === undefined
      ? []
      : [
          when(canMatch(found.offset, address), switchShape(context, entry, found.offset, [found], address, whole)),
          when(entry, [leave("found")]),
        ];
  });
  return [set(entry, 0), block("found", asked.flat())];
}

/** Table local is often all in 127/8: then it need not be asked. */
const canMatch = (table: number, address: Reg): Expr =>
  eqz(and(xor(address, field(table, TABLE.network)), field(table, TABLE.mask)));

/** Whether the source has to be looked up. @param source as it lies */
export function sourceIsAsked({ layout: { sourceFilter } }: Context, source: Expr): Expr {
  if (sourceFilter === null) return expr(1);
  const { offset, length } = sourceFilter;
  const cell = shr(mul(source, FILTER_FACTOR | 0), 32 - Math.log2(length));
  return or(field(device, DEVICE.rpFilter), load("image", 1, cell, offset));
}

/** `fast_validate_source(device, saddr)`: fib_validate_source has no objection. No way back, or one that refuses, is one only to rp_filter. */
export function fastValidateSource(context: Context): Proc {
  const no = (condition: Expr): Step => when(condition, [leave("objection")]);
  const error = field(alias, FIB_ALIAS.error);
  const body = [
    set(rpFilter, field(device, DEVICE.rpFilter)),
    ...fibLookup(context, saddr),
    block("objection", [
      when(eqz(entry), [ret(eqz(rpFilter))]),
      no(eqz(isSettled)),
      set(alias, add(entry, FIB_ENTRY_BYTES)),
      when(error, [ret(eqz(or(rpFilter, eq(error, Errno.EAGAIN))))]),
      no(ne(field(alias, FIB_ALIAS.type), RouteTypeCode.unicast)),
      when(eqz(rpFilter), [ret(1)]),
      ret(eq(field(field(alias, FIB_ALIAS.nextHops), NEXT_HOP.device), device)),
    ]),
    ret(0),
  ];
  const comment = "fib_validate_source, of plain routes";
  return proc(context.name("fast_validate_source"), { comment, params: [device, saddr], result: "i32" }, body);
}

/** The route answers at once. */
const isSettled = and(field(entry, FIB_ENTRY.flags), FibEntryFlag.SETTLED);
