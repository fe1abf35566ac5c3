/**
 * Index spaces are branded numbers, so that an `IfIndex` passed where a `TableId` belongs does not compile.
 * A brand exists only for the type checker: at run time each is a plain number.
 */
declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Interface index of a device within its network namespace; `lo` is 1, 0 means "no device" (kernel: `int ifindex`). */
export type IfIndex = Brand<number, "IfIndex">;
/** Routing table id, 1 .. 2^32-1; 253 default, 254 main, 255 local (kernel: `RT_TABLE_*`). */
export type TableId = Brand<number, "TableId">;
/** Index of a route in `Net.routes` of the model; stable for the life of an artifact. */
export type RouteId = Brand<number, "RouteId">;
/** Index of a rule in `Net.rules` of the model; stable for the life of an artifact. */
export type RuleId = Brand<number, "RuleId">;
/** Preference of a policy rule, 0 .. 2^32-1, lower is tried first (kernel: `fib_rule.pref`). */
export type Priority = Brand<number, "Priority">;
/** Byte offset in the dataplane's linear memory. */
export type ImageOffset = Brand<number, "ImageOffset">;

export const ifIndex = (n: number): IfIndex => n as IfIndex;
export const tableId = (n: number): TableId => n as TableId;
export const routeId = (n: number): RouteId => n as RouteId;
export const ruleId = (n: number): RuleId => n as RuleId;
export const priority = (n: number): Priority => n as Priority;
export const imageOffset = (n: number): ImageOffset => n as ImageOffset;

/** "No device": matches any, bound to none. */
export const NO_DEVICE: IfIndex = ifIndex(0);
/** `lo` of every namespace (kernel: `LOOPBACK_IFINDEX`). */
export const LOOPBACK_IFINDEX: IfIndex = ifIndex(1);

export const RT_TABLE_DEFAULT: TableId = tableId(253);
export const RT_TABLE_MAIN: TableId = tableId(254);
export const RT_TABLE_LOCAL: TableId = tableId(255);
