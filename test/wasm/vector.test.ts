/** Each operation on vectors, for every lane: as wasm what the interpreter says. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { interpret } from "../../src/plan/interpret.ts";
import { type Expr, i32, type Step, store, typeOf, vector } from "../../src/plan/ir.ts";
import { VECTOR_OPS, type VectorOp } from "../../src/plan/vector.ts";
import { emitModule } from "../../src/wasm/emit.ts";
import { planOf, proc } from "../plan/helpers.ts";

/** Two vectors at 0 and 16; the results, 16 bytes apart, from 32 on. */
const [A, B] = [0, 16].map((offset) => vector("load", [0], { offset }));
const GIVEN = 32;
const MEMORY = 8192;

const operandsOf = (op: VectorOp): Expr[] => {
  const vectors = [A, B];
  const count = op === "shl" || op === "shr" ? i32(13) : i32(3); // a shift, an address, a word
  return VECTOR_OPS[op].takes.map((type) => (type === "v128" ? vectors.shift()! : count));
};
const results = Object.entries(VECTOR_OPS).flatMap(([op, { lanes }]) =>
  Array.from({ length: lanes }, (_, lane) => vector(op as VectorOp, operandsOf(op as VectorOp), { lane })),
);
const body = results.map((e, i): Step => store("image", typeOf(e) === "v128" ? 16 : 4, 0, GIVEN + 16 * i, e));
const plan = planOf([], proc("f", [], null, body));

const TRACE = { cursor: MEMORY, end: MEMORY + 4, lost: MEMORY + 8 };

/** Elements of 0 as often as others. */
const bytes = fc.array(fc.oneof(fc.constant(0), fc.nat(255)), { minLength: GIVEN, maxLength: GIVEN });

test("as interpreted", async () => {
  expect(GIVEN + 16 * results.length).toBeLessThan(MEMORY);
  const { wasm } = await emitModule([{ plan, suffix: "" }], {
    segments: [],
    initialPages: 1,
    maximumPages: 1,
    traceRegion: TRACE,
    level: 2,
    simd: true,
  });
  const { instance } = await WebAssembly.instantiate(wasm);
  const { memory, f } = instance.exports as { memory: WebAssembly.Memory; f: () => void };
  const property = fc.property(bytes, (given) => {
    const [expected, found] = [new Uint8Array(MEMORY), new Uint8Array(memory.buffer, 0, MEMORY)];
    for (const each of [expected, found]) each.fill(0).set(given);
    interpret(plan, { memory: expected }).call("f", []);
    f();
    expect(found).toEqual(expected);
  });
  fc.assert(property, { numRuns: 50 });
});
