/** What every part of the builder needs: the namespace, its layout, and short words for records, columns and traces. */

import type { KernelProfile, Model, Net } from "../../../dsl/model.ts";
import { DEVICE, DeviceFlag } from "../../../runtime/abi/device.ts";
import { FIB_ALIAS } from "../../../runtime/abi/fib.ts";
import { STATE } from "../../../runtime/abi/program.ts";
import { TraceEvent } from "../../../runtime/abi/trace.ts";
import { COLUMN, type Column } from "../../../runtime/batch.ts";
import { HOOKS, type Hook } from "../../../runtime/hooks.ts";
import type { DropReason } from "../../../runtime/verdict.ts";
import type { Layout, NetLayout } from "../../layout.ts";
import {
  add,
  and,
  call,
  type Expr,
  expr,
  i32,
  load,
  mul,
  type Operand,
  type Proc,
  type Reg,
  ret,
  run,
  type Step,
  select,
  store,
  trace,
  unary,
  type ValueType,
} from "../ir.ts";
import { own, row, stride, worker } from "./skb.ts";

/** One namespace under construction. */
export interface Context {
  readonly kernel: KernelProfile;
  readonly net: Net;
  readonly layout: NetLayout;
  /** Layout.shapes */
  readonly shapes: Layout["shapes"];
  /** Of the hot build, which nobody traces: it may skip what a trace would tell of. */
  readonly fast: boolean;
  /** Several threads work in the memory at once. */
  readonly threads: boolean;
  /** The plan is one that traces are taken of: what only they tell is worth steps. */
  readonly traced: boolean;
  /** Name of the namespace's own proc for a kernel function. */
  name(kernelFunction: string): string;
}

export function contextOf(
  model: Model,
  layout: Layout,
  index: number,
  {
    threads = false,
    traced = false,
    fast = false,
  }: { readonly threads?: boolean; readonly traced?: boolean; readonly fast?: boolean } = {},
): Context {
  const own = layout.nets[index];
  return {
    kernel: model.kernel,
    net: own.net,
    layout: own,
    shapes: layout.shapes,
    fast,
    threads,
    traced,
    name: (kernelFunction) => `${kernelFunction}.${index}`,
  };
}

/** Where this thread's own of what the image has at `address` stands (kernel: this_cpu_ptr). */
export const thisWorker = ({ threads }: Context, address: number): Expr =>
  threads ? add(worker, address) : i32(address);

/** Where a thread's own of what chains remember and work with is, in the space of their layout. */
export const ownPlace = (context: Context, address: number): Expr =>
  context.layout.netfilter.space === "image"
    ? thisWorker(context, address)
    : context.threads
      ? add(own, address)
      : i32(address);

/** The same from the start of memory. */
export const ownInMemory = (context: Context, address: number): Expr =>
  context.layout.netfilter.space === "image"
    ? thisWorker(context, address)
    : add(load("state", 4, STATE.self), ownPlace(context, address));

/** From the start of memory, what all threads have of chains at this place of their layout's space. */
export const sharedInMemory = (context: Context, address: number): Expr =>
  context.layout.netfilter.space === "image" ? i32(address) : add(load("state", 4, STATE.self), address);

/** Calls the namespace's proc as an expression, or as a step. */
export const callNet = (context: Context, proc: string, ...args: Operand[]): Expr => call(context.name(proc), args);
export const runNet = (context: Context, proc: string, ...args: Operand[]): Step => run(context.name(proc), args);

export interface ProcOptions {
  readonly comment: string;
  readonly params?: readonly Reg[];
  readonly result?: ValueType;
  readonly requires?: Proc["requires"];
}

export const proc = (
  name: string,
  { comment, params = [], result, requires = [] }: ProcOptions,
  body: readonly Step[],
): Proc => ({
  name,
  comment,
  params,
  result: result ?? null,
  requires,
  body,
  exported: false,
});

/** A word of a record in the image. */
export const field = (record: Operand, offset: number): Expr => load("image", 4, record, offset);

export const ifindexOf = (device: Operand): Expr => field(device, DEVICE.ifindex);
/** The ifindex of a device that may be none: 0 then. (The read at 0 is of the image header; its value is not used.) */
export const ifindexOrZero = (device: Reg): Expr => select(device, ifindexOf(device), 0);
/** Not zero when the device has the flag. */
export const hasFlag = (device: Operand, flag: keyof typeof DeviceFlag): Expr =>
  and(field(device, DEVICE.flags), DeviceFlag[flag]);

/** An IPv4 address of a record, in host order. */
export const addressField = (record: Operand, offset: number): Expr => unary("bswap32", field(record, offset));
/** A link-layer address of a record: its first four bytes and its last two, as numbers. */
export const macHigh = (record: Operand, offset: number = DEVICE.mac): Expr => unary("bswap32", field(record, offset));
export const macLow = (record: Operand, offset: number = DEVICE.mac): Expr =>
  unary("bswap16", load("image", 2, record, offset + 4));
/** RouteId + 1 of a FIB_ALIAS, 0 for none. */
export const routeOf = (alias: Reg): Expr => select(alias, field(alias, FIB_ALIAS.route), 0);

const columnOffset = (column: Column): Expr => add(row, mul(stride, COLUMN(column)));
export const readColumn = (column: Column): Expr => load("batch", 4, columnOffset(column), 0);
export const writeColumn = (column: Column, value: Operand): Step =>
  store("batch", 4, columnOffset(column), 0, expr(value));

/** Only the trace shows that a hook is passed. Devices are ifindexes. What is attached: netfilter/hook.ts. */
export const passHook = (hook: Hook, input: Operand, output: Operand): Step =>
  trace(TraceEvent.hook, [HOOKS.indexOf(hook), input, output], hook);

/** Ends the packet's way: nothing is sent. */
export const drop = (reason: DropReason): Step[] => [run(KFREE_SKB, [reason]), ret()];
export const KFREE_SKB = "kfree_skb_reason";

/** ICMP error to the sender, and the end of the packet's way; `info` is the error's second word. */
export const icmpSend = (type: number, code: number, info: Operand): Step[] => [
  run(ICMP_SEND, [type, code, info]),
  ret(),
];
export const ICMP_SEND = "icmp_send";

/** ICMPv6 error, likewise. */
export const icmpv6Send = (type: number, code: number, info: Operand): Step[] => [
  run(ICMPV6_SEND, [type, code, info]),
  ret(),
];
export const ICMPV6_SEND = "icmpv6_send";
