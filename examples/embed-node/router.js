/** node examples/embed-node/router.js FILE.wasm: forwards one frame by a compiled policy, and says what became of it. */
import { readFile } from "node:fs/promises";
import { DropReason, Entry, load, nameOf, parseIp, parseMac, Verdict } from "vrfc/runtime";

const dataplane = await load(await readFile(process.argv[2]));
const engine = dataplane.net("router");
engine.setNeighbour(4, parseIp("10.0.1.2"), parseMac("02:00:00:00:00:b2"));

// From 10.0.0.2 to 192.0.2.7, received by device 3: 14 bytes of Ethernet, 20 of IPv4.
const frame = Buffer.from(
  "020000000003 0200000000a2 0800 45000014 00000000 4011aed0 0a000002 c0000207".replaceAll(" ", ""),
  "hex",
);

const batch = engine.createBatch(256); // once; its columns are views of the module's memory
for (const device of [3, 4]) batch.put(frame, { entry: Entry.RECEIVE, device });
engine.process(batch);
const [verdict, reason, outDevice] = ["verdict", "reason", "outDevice"].map((name) => batch.column(name));
for (let i = 0; i < batch.count; i++) {
  const bytes = batch.packet(i); // a copy; who sends it at once reads it where it is
  const how = verdict[i] === Verdict.TRANSMIT ? `by ${outDevice[i]}, ttl ${bytes[22]}` : nameOf(DropReason, reason[i]);
  console.log(nameOf(Verdict, verdict[i]), how);
}
