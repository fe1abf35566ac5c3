/** A program of somebody who has the package: loads a module, forwards a frame, changes a route, and looks at the counters. */
import { readFile } from "node:fs/promises";
import {
  type Counters,
  type Dataplane,
  Entry,
  load,
  ManifestError,
  nameOf,
  parseMac,
  RouteError,
  type Routes,
  Verdict,
} from "vrfc/runtime";

const dataplane: Dataplane = await load(await readFile(process.argv[2]!));
const engine = dataplane.net("router");
const batch = engine.createBatch(4, 256);
const frame = Uint8Array.from(process.argv[3]!.match(/../g)!, (byte) => Number.parseInt(byte, 16));
batch.put(frame, { entry: Entry.RECEIVE, device: 3 });
engine.setNeighbour(4, 0x0a000102, parseMac("02:00:00:00:00:b2")!);
engine.process(batch);
console.log(nameOf(Verdict, batch.column("verdict")[0]!), batch.packet(0).length);

const routes: Routes = dataplane.routes("router");
try {
  routes.add("10.4.0.0/16 via 172.16.0.1 table 10");
} catch (error) {
  if (error instanceof RouteError) console.log(error.code);
}
const counters: Counters = dataplane.counters(0);
console.log(counters.verdicts.TRANSMIT);
await load(new Response(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))).catch((error: unknown) => {
  if (error instanceof ManifestError) console.log(error.reason);
});
