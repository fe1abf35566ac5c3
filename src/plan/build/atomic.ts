/**
 * What threads that share a memory do to one word of it: indivisible, each a proc whose body says what it does to a memory that nobody
 * else works in. Emitted for several threads it is the wasm instruction of that name (`Proc.atomic`).
 */
import {
  add,
  call,
  type Expr,
  eq,
  load,
  local,
  type Operand,
  type Proc,
  ret,
  run,
  type Step,
  set,
  store,
  when,
} from "../ir.ts";
import { type ProcOptions, proc } from "./context.ts";

const at = local("at");

export const atomicProcs = (): Proc[] => [fetchAdd, cmpxchg];

/** Adds to 4 bytes at a multiple of 4. @returns what was there */
export const atomicFetchAdd = (address: Operand, by: Operand): Expr => call(FETCH_ADD, [address, by]);

/** The same, whatever was there. */
export const atomicAdd = (address: Operand, by: Operand): Step => run(FETCH_ADD, [address, by]);

/** Puts `value` into 8 bytes at a multiple of 8 if `expected` is there. @returns what was there */
export const atomicCmpxchg = (address: Operand, expected: Operand, value: Operand): Expr =>
  call(CMPXCHG, [address, expected, value], "i64");

/** The same, whatever was there. */
export const atomicTryCmpxchg = (address: Operand, expected: Operand, value: Operand): Step =>
  run(CMPXCHG, [address, expected, value]);

const FETCH_ADD = "atomic_fetch_add";
const CMPXCHG = "atomic64_cmpxchg";

const before32 = local("before");
const by = local("by");
const fetchAdd = atomic("add", FETCH_ADD, { comment: "atomic_fetch_add", params: [at, by], result: "i32" }, [
  set(before32, load("image", 4, at)),
  store("image", 4, at, 0, add(before32, by)),
  ret(before32),
]);

const before64 = local("before", "i64");
const expected = local("expected", "i64");
const value = local("value", "i64");
const cmpxchg = atomic(
  "cmpxchg",
  CMPXCHG,
  { comment: "atomic64_cmpxchg", params: [at, expected, value], result: "i64" },
  [set(before64, load("image", 8, at)), when(eq(before64, expected), [store("image", 8, at, 0, value)]), ret(before64)],
);

function atomic(kind: NonNullable<Proc["atomic"]>, name: string, options: ProcOptions, body: Proc["body"]): Proc {
  return { ...proc(name, options, body), atomic: kind };
}
