/**
 * Raw fields that begin in the middle of a byte, some in one byte more than a register of 32 or 64 bits has: they are compared, looked up,
 * mapped and written in the program as in the reference.
 */
import { expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import { load } from "../../runtime/dataplane.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { frameOf, modelOf } from "../reference/support.ts";
import { judged, SLOT_SIZE } from "./agree.ts";

/** [offset, bits] */
const FIELDS = [
  [1, 30],
  [3, 31],
  [1, 32],
  [7, 32],
  [4, 33],
  [3, 63],
  [7, 64],
  [5, 65],
  [1, 127],
  [4, 124],
] as const;

const FRAME = frameOf({ from: "10.0.0.7", to: "10.0.1.7" }, 0x020000000003);
const HEADER = [...FRAME.subarray(14, 34)].reduce((bits, byte) => (bits << 8n) | BigInt(byte), 0n);

function policy([offset, bits]: readonly [number, number]): string {
  const field = `@nh,${offset},${bits}`;
  const value = (HEADER >> BigInt(160 - offset - bits)) & ((1n << BigInt(bits)) - 1n);
  const [is, isNot] = [`0x${value.toString(16)}`, `0x${(value ^ 5n).toString(16)}`];
  return `sysctl net.ipv4.ip_forward = 1
    interface a { index 3; lladdr 02:00:00:00:00:03; address 10.0.0.1/24 }
    interface b { index 4; address 10.0.1.1/24 }
    neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
    chain c {
      type filter hook postrouting priority 0
      counter
    }
    chain p {
      type filter hook prerouting priority 0
      ${field} ${is} counter
      ${field} != ${isNot} counter
      ${field} { ${is}, ${isNot} } counter
      ${field} ${is}-${is} counter
      ${field} >= ${is} counter
      ${field} & 0x3 == 0x${(value & 3n).toString(16)} counter
      ${field} . meta l4proto { ${is} . 1 } counter
      meta mark set ${field} map { ${isNot} : 6, ${is} : 7 }
      meta mark 7 counter
      ${field} ${isNot} counter
      @nh,65,6 set 9
    }`;
}

test.each(FIELDS)("bit %i, %i bits", async (...field) => {
  const model = modelOf(policy(field));
  const reference = referenceEngine(model.nets[0], model.kernel);
  const expected = [1n, 1n, 1n, 1n, 1n, 1n, 1n, 1n, 1n, 0n];
  for (const level of [0, 1] as const) {
    const engine = (await load((await compileModel(model, { level })).artifact)).net(0);
    const [own, its] = [engine, reference].map((one) => {
      const batch = one.createBatch(1, SLOT_SIZE);
      batch.put(FRAME, { device: 3, entry: Entry.RECEIVE });
      one.process(batch);
      return judged(batch);
    });
    expect(own).toEqual(its);
    expect(engine.readCounters().map(({ packets }) => packets)).toEqual(expected);
  }
  expect(reference.readCounters().map(({ packets }) => packets)).toEqual(expected.map((one) => 2n * one));
});

test("a field that reaches into a seventeenth byte is refused, as nft has no register for it", () => {
  const { diagnostics } = checkText("chain c { type filter hook input priority 0; @nh,3,126 1 drop }");
  expect(diagnostics.map(({ code, message }) => `${code} ${message}`)).toEqual([
    "E0401 a raw field lies in 16 bytes at most",
  ]);
});
