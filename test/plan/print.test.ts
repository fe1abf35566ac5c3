/** The text form of a plan: what `vrfc dump --stage plan` prints, each construct once. */
import { expect, it } from "vitest";
import {
  add,
  and,
  block,
  call,
  eq,
  guard,
  i64,
  leave,
  load,
  local,
  lt,
  packet,
  put,
  repeat,
  ret,
  run,
  select,
  set,
  shr,
  skbReg,
  store,
  sub,
  tail,
  trace,
  unary,
  vector,
  when,
} from "../../src/plan/ir.ts";
import { printExpr, printPlan, printSteps } from "../../src/plan/print.ts";
import { inner, planOf, proc } from "./helpers.ts";

const device = local("device");
const count = local("count", "i64");
const l3 = skbReg("l3");
const bytes = skbReg("bytes", "i64");

it("prints every construct", () => {
  const body = [
    set(tail, add(l3, packet(l3, 2, 2))),
    set(bytes, add(bytes, unary("extend", tail))),
    when(
      eq(shr(packet(l3, 0, 1), 4), 4),
      [trace(20, [3, l3], "drop"), ret(3)],
      [put(l3, 8, 1, sub(packet(l3, 8, 1), 1)), store("batch", 4, add(device, 8), 64, 0x0a000001)],
    ),
    block("found", [
      repeat(load("image", 4, device, 8), "hops", [when(lt(device, tail), [leave("found")]), leave("hops")]),
    ]),
    run("leave", [device]),
    ret(select(device, call("route", [device, i64(7n)]), -2)),
  ];
  const requires = [{ cursor: l3, bytes: 20 }];
  const main = proc("ip_rcv.0", [device, count], "i32", [guard(l3, 20, [ret(6)]), ...body], {
    comment: "ip_rcv (net/ipv4/ip_input.c)",
    requires,
  });
  expect(printPlan(planOf([l3, bytes], main, inner("leave", [device], null, [])))).toBe(`\
skb tail l3 bytes:i64

# ip_rcv (net/ipv4/ip_input.c)
export proc ip_rcv.0(device, count:i64): i32 requires skb.l3 20 {
  guard skb.l3 20 else {
    return 6
  }
  set skb.tail = skb.l3 + packet 2 skb.l3[2]
  set skb.bytes:i64 = skb.bytes + extend(skb.tail)
  if (packet 1 skb.l3[0] >> 4) == 4 {
    trace 20 (3, skb.l3) # drop
    return 3
  } else {
    put 1 skb.l3[8] = packet 1 skb.l3[8] - 1
    store batch 4 [(device + 8) + 64] = 0xa000001
  }
  block found {
    repeat load image 4 [device + 8] hops {
      if device < skb.tail {
        break found
      }
      break hops
    }
  }
  do call leave(device)
  return select(device, call route(device, 7n), -2)
}

proc leave(device) {
}
`);
});

it.each([
  [-1, "-1"],
  [65535, "65535"],
  [65536, "0x10000"],
  [-65536, "0xffff0000"],
])("prints %i as %s", (value, text) => {
  expect(printExpr(and(device, value))).toBe(`device & ${text}`);
});

it("prints vectors", () => {
  const v = local("v", "v128");
  const steps = [
    set(v, vector("load", [device], { offset: 16 })),
    set(v, vector("load1", [vector("word", [v], { lane: 3 }), v], { offset: 8, lane: 15 })),
    store("batch", 16, device, 0, vector("add", [v, vector("splat", [7])])),
  ];
  expect(printSteps(steps)).toEqual([
    "set v:v128 = v128.load(device, offset 16)",
    "set v:v128 = v128.load1(v128.word(v, lane 3), v, offset 8, lane 15)",
    "store batch 16 [device] = v128.add(v, v128.splat(7))",
  ]);
});

it("prints a large i64 by its bits", () => {
  expect(printExpr(i64(-(2n ** 63n)))).toBe("0x8000000000000000n");
});
