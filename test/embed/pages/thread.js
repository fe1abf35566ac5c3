/** A thread of the page's dataplane: says what becomes of a packet to 10.9.0.1, again at every message. */
import { Entry, join, nameOf, Verdict } from "../../dist/runtime/index.js";

const PACKET = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0x25, 0xc1, 10, 0, 1, 7, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
const FRAME = Uint8Array.of(2, 0, 0, 0, 0, 0xa1, 2, 0, 0, 0, 0, 7, 8, 0, ...PACKET);

let engine = null;
let batch = null;
addEventListener("message", ({ data: seat }) => {
  engine ??= join(seat).net(0);
  batch ??= engine.createBatch(1);
  batch.count = 0;
  batch.put(FRAME, { entry: Entry.RECEIVE, device: 3 });
  engine.process(batch);
  postMessage(nameOf(Verdict, batch.column("verdict")[0]));
});
