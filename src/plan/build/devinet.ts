/** Devices and their addresses: by index, by address, and what kind of address it is to a device. */

import { DEVICE } from "../../../runtime/abi/device.ts";
import { NEXT_HOP, TABLE } from "../../../runtime/abi/fib.ts";
import { RT_TABLE_LOCAL } from "../../../runtime/brand.ts";
import { LpmKind } from "../../../runtime/lpm/lpm.ts";
import type { Family } from "../../../runtime/net/ip.ts";
import { RouteTypeCode } from "../../../runtime/net/route-types.ts";
import { DEVICES_OF_PAGE, type DeviceIndex } from "../../layout.ts";
import type { TableLayout } from "../../layout-tables.ts";
import { type LpmShape, lpmProcName, lpmSteps } from "../../lpm/emit.ts";
import { rememberedOf } from "../../remember.ts";
import {
  add,
  and,
  call,
  type Expr,
  eq,
  eqz,
  ge,
  i32,
  local,
  lt,
  type Operand,
  or,
  type Proc,
  type Reg,
  ret,
  type Step,
  select,
  set,
  shl,
  shr,
  when,
} from "../ir.ts";
import { type Context, callNet, field, proc } from "./context.ts";
import { isLbcast, isMulticast, isZeronet } from "./in.ts";
import { l3mdevMaster } from "./l3mdev.ts";
import { resHop, resType } from "./skb.ts";

const ifindex = local("ifindex");
const address = local("address");
const device = local("device");
const table = local("table");
const entry = local("entry");

/**
 * `dev_get_by_index(ifindex)`: the DEVICE, or 0; by its place in the index, without a branch: each packet may be of another device. Where
 * numbers are too far apart for that, by a balanced tree of compares: the set is fixed.
 */
export function devGetByIndex(context: Context): Proc {
  const index = context.layout.deviceIndex;
  const pageOf = ({ offset }: DeviceIndex): Expr => field(shl(shr(ifindex, Math.log2(DEVICES_OF_PAGE)), 2), offset);
  // Only where it is asked: there may be thousands.
  const devices = index === null ? [...context.layout.devices].sort(([a], [b]) => a - b) : [];
  const search = (from: number, to: number): Step[] => {
    if (to - from === 1) return [ret(select(eq(ifindex, devices[from][0]), devices[from][1], 0))];
    const middle = (from + to) >>> 1;
    return [when(lt(ifindex, devices[middle][0]), search(from, middle)), ...search(middle, to)];
  };
  const comment = "dev_get_by_index_rcu (net/core/dev.c)";
  return proc(
    context.name("dev_get_by_index"),
    { comment, params: [ifindex], result: "i32" },
    index === null
      ? search(0, devices.length)
      : [
          when(ge(ifindex, index.length), [ret(0)]),
          ret(field(add(pageOf(index), shl(and(ifindex, DEVICES_OF_PAGE - 1), 2)), 0)),
        ],
  );
}

/** Structures that are not mended: when the table changes (`spill`), or has more routes than they are for, it becomes blocks. */
export const BECOME_BLOCKS: readonly LpmKind[] = ["linear", "ranges", "spill"];

/** The value that a table's structure holds for an address (of IPv6 an offset), or 0. */
const lpmLookup = (kind: LpmKind, family: Family, table: Operand, address: Operand): Expr =>
  BECOME_BLOCKS.includes(kind)
    ? call(changingTableName(family), [table, address])
    : call(lpmProcName(kind, family), [field(table, TABLE.image), address]);

/**
 * `lpm_changing_table_<family>(table, address)`: of a table that is or was of one of BECOME_BLOCKS.
 * @param kinds that tables have
 */
export function changingTable(family: Family, kinds: ReadonlySet<LpmKind>): Proc {
  const image = field(table, TABLE.image);
  const look = (kind: LpmKind): Step => ret(call(lpmProcName(kind, family), [image, address]));
  const body: Step[] = [
    ...BECOME_BLOCKS.filter((kind) => kinds.has(kind)).map((kind) =>
      when(eq(field(table, TABLE.kind), LpmKind[kind]), [look(kind)]),
    ),
    look("blocks"),
  ];
  return proc(
    changingTableName(family),
    { comment: "fib_table_lookup, longest match only", params: [table, address], result: "i32" },
    body,
  );
}
const changingTableName = (family: Family): string => `lpm_changing_table_${family}`;

export const tableLookup = (table: TableLayout | undefined, address: Operand, family: Family = 4): Expr =>
  table === undefined ? i32(0) : lpmLookup(table.kind, family, table.offset, address);

/** inet_lookup_ifaddr_rcu: the DEVICE that has the address, in whatever VRF; 0: none. */
export const inetLookupIfaddr = ({ layout: { addresses } }: Context, address: Operand): Expr =>
  call(lpmProcName(addresses.kind, 4), [field(addresses.offset, TABLE.image), address]);

/** `ip_dev_find(address)`: the DEVICE of an own address, or of one that table local alone knows, as all of 127/8. */
export function ipDevFind(context: Context): Proc {
  const body: Step[] = [
    set(device, inetLookupIfaddr(context, address)),
    when(device, [ret(device)]),
    set(entry, tableLookup(context.layout.tables.get(RT_TABLE_LOCAL), address)),
    when(callNet(context, "fib_table_lookup", entry, address, 0, 0), [ret(0)]),
    ret(select(eq(resType, RouteTypeCode.local), field(resHop, NEXT_HOP.device), 0)),
  ];
  const comment = "__ip_dev_find (net/ipv4/devinet.c)";
  return proc(context.name("ip_dev_find"), { comment, params: [address], result: "i32" }, body);
}

/** `inet_addr_type(device, address)`: RTN_* of the address to the device's VRF, or to table local outside of VRFs. */
export function inetAddrType(context: Context): Proc {
  const body: Step[] = [
    set(device, l3mdevMaster(device)),
    ...typedEntry(context, { entry, table, address, vrf: device }),
    when(callNet(context, "fib_table_lookup", entry, address, 0, 0), [ret(RouteTypeCode.unicast)]),
    ret(resType),
  ];
  const comment = "inet_addr_type_dev_table (net/ipv4/fib_frontend.c)";
  return proc(context.name("inet_addr_type"), { comment, params: [device, address], result: "i32" }, body);
}

/**
 * The beginning of __inet_dev_addr_type: returns what needs no table, and RTN_BROADCAST where the table is not there, as local where all
 * addresses are in VRFs; else sets `entry` to what the table has of the address. @param vrf a DEVICE, 0: table local
 */
export function typedEntry(
  context: Context,
  { entry, table, address, vrf }: Record<"entry" | "table" | "address" | "vrf", Reg>,
): Step[] {
  const local = context.layout.tables.get(RT_TABLE_LOCAL);
  const none = ret(RouteTypeCode.broadcast);
  return [
    when(or(isZeronet(address), isLbcast(address)), [none]),
    when(isMulticast(address), [ret(RouteTypeCode.multicast)]),
    when(
      vrf,
      [
        set(table, field(vrf, DEVICE.table)),
        when(eqz(table), [none]),
        set(entry, 0),
        ...switchKind(context, entry, table, address),
      ],
      local === undefined ? [none] : [set(entry, tableLookup(local, address))],
    ),
  ];
}

/** Sets `entry` by the structure that the VRF table `table` says it has. */
export function switchKind(context: Context, entry: Reg, table: Reg, address: Operand, family: Family = 4): Step[] {
  return switchKindOf(vrfTables(context, family), entry, table, address, family);
}

/** Of each device the table, where it has one: there may be thousands, and many procs ask. */
export function vrfTables(context: Context, family: Family): readonly TableLayout[] {
  const tables = tablesOf(context, family);
  const { devices } = context.net;
  return remembered(tables, [devices], () => devices.flatMap((device) => tables.get(device.table) ?? []));
}
const remembered = rememberedOf<ReadonlyMap<number, TableLayout>, readonly TableLayout[]>(1);

const tablesOf = ({ layout }: Context, family: Family): ReadonlyMap<number, TableLayout> =>
  family === 4 ? layout.tables : layout.tables6;

/**
 * The same, one kind for all unless their sizes differ much.
 * @param layouts of the tables that it may be
 */
export function switchKindOf(
  layouts: Iterable<TableLayout>,
  entry: Reg,
  table: Reg,
  address: Operand,
  family: Family,
): Step[] {
  const kinds = new Set([...layouts].map(({ kind }) => kind));
  const look = ([kind, ...others]: readonly LpmKind[]): Step[] => {
    if (kind === undefined) return [];
    const found = [set(entry, lpmLookup(kind, family, table, address))];
    return others.length === 0 ? found : [when(eq(field(table, TABLE.kind), LpmKind[kind]), found, look(others))];
  };
  return look([...kinds]);
}

/** What a look-up does that makes no calls. */
export interface InlineLookup {
  /** A register of the code. */
  readonly image: Reg;
  /** In place of a call; they leave. */
  readonly call: readonly Step[];
  /** In place of a shape's code, where there are some; they leave. */
  toLeaf(shape: LpmShape): Step[] | null;
}

/**
 * Sets `entry` by straight-line code where the module has it for the table's shape, as switchKind elsewhere.
 * @param layouts of the tables that it may be
 * @param inline the code of shapes stands here, and where a proc would have to be called these steps
 */
export function switchShape(
  context: Context,
  entry: Reg,
  table: Operand,
  layouts: readonly TableLayout[],
  address: Reg,
  inline: InlineLookup | null = null,
): Step[] {
  const names = new Set(layouts.map(({ kind, shape }) => (shape === null ? null : lpmProcName(kind, 4, shape))));
  const kinds = [...new Set(layouts.map(({ kind }) => kind))];
  const image = field(table, TABLE.image);
  const any = ([kind, ...others]: readonly LpmKind[]): Step[] => {
    if (kind === undefined) return [];
    const found = [set(entry, lpmLookup(kind, 4, table, address))];
    return others.length === 0 ? found : [when(eq(field(table, TABLE.kind), LpmKind[kind]), found, any(others))];
  };
  return context.shapes
    .map((shape, i) => ({ id: i + 1, shape, name: lpmProcName(shape.kind, 4, shape) }))
    .filter(({ name }) => names.has(name))
    .reduceRight<Step[]>(
      (others, { id, shape, name }) => {
        const look =
          inline === null
            ? [set(entry, call(name, [image, address]))]
            : (inline.toLeaf(shape) ?? [
                set(inline.image, image),
                ...lpmSteps(shape.kind, 4, inline.image, { address, value: entry }, shape),
              ]);
        return [when(eq(field(table, TABLE.shape), id), look, others)];
      },
      inline === null ? any(kinds) : [...inline.call],
    );
}
