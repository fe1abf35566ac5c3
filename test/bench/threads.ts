/**
 * `threads`: the frames of `packets` forwarded by workers over one memory, spread by the hash of their flows. Time is from the word "go" to
 * the last worker's "done", so one that got more of the flows is waited for. Beside them two workers that share nothing, each with
 * a portable module in a memory of its own: what the machine's processors give to two threads, whatever they share (hyper-threads of one
 * core give little).
 *
 * Answers first: every frame of every worker is forwarded, the first ones of each as the reference forwards them, and the counters of
 * all together are as many as frames were judged.
 */
import type { Model } from "../../dsl/model.ts";
import { type Dataplane, join, load, loadSync } from "../../runtime/dataplane.ts";
import { spread, Workers } from "../../src/bench/workers.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { type Racer, race, WrongAnswer } from "./harness.ts";
import { BATCH, check, type Frame, framesOf, modelOf, put, tableOf, VRFS } from "./packets.ts";
import type { BenchOptions, Group, Report } from "./report.ts";
import { ROUND, TIMES, type Work } from "./threads-worker.ts";

const SLOTS = 4096;
const SLOT_SIZE = 128;
/** Bytes of a seat: batches of all frames, and something over. */
const SEAT_BYTES = 4 << 20;
/** A timed sample is about so long. */
const SAMPLE_MS = 40;
const BASELINE = "1 worker";

export async function threads(options: BenchOptions): Promise<Report> {
  const groups: Group[] = [];
  for (const routes of options.quick ? [16] : [16, 4096]) {
    const tables = Array.from({ length: VRFS }, (_, vrf) => tableOf(routes, options.seed + vrf));
    const model = modelOf(tables);
    options.progress(`${routes} routes: compiling`);
    const [shared, portable] = [
      await WebAssembly.compile((await compileModel(model, { threads: true })).artifact),
      await WebAssembly.compile((await compileModel(model)).artifact),
    ];
    for (const stream of options.streams.filter((each) => each !== "uniform")) {
      const frames = framesOf(tables, stream, SLOTS, options.seed);
      const teams: Team[] = [];
      try {
        for (const count of [1, 2]) teams.push(await together(await load(shared), model, spread(frames, count)));
        const alone = spread(frames, 2).map((share): Work => workOf(portable, share));
        for (const [k, { frames: share }] of alone.entries()) verify(`worker ${k}`, loadSync(portable), model, share);
        teams.push(await Team.begin("2 workers that share nothing", alone, null));
        options.progress(`${routes} routes, ${stream}`);
        const results = await race(teams, { rounds: options.rounds, baseline: BASELINE });
        const table = `${VRFS} VRFs of ${routes} routes`;
        groups.push({ table, family: 4, prefixes: VRFS * routes, stream, baseline: BASELINE, results });
      } finally {
        for (const team of teams) await team.end();
      }
    }
  }
  const notes = ["uniform addresses, as of `packets`"];
  return { bench: "threads", unit: `64-byte frames forwarded, batches of ${BATCH}, ${SLOTS} slots`, groups, notes };
}

const workOf = (place: Work["place"], frames: readonly Frame[]): Work => ({
  place,
  frames,
  slotSize: SLOT_SIZE,
  control: new Int32Array(new SharedArrayBuffer(8)),
});

/** A worker for each share of the frames, all over one memory. */
async function together(dataplane: Dataplane, model: Model, shares: readonly (readonly Frame[])[]): Promise<Team> {
  const work = shares.map((share) => {
    const seat = dataplane.threads.seat({ bytes: SEAT_BYTES });
    verify(`worker ${seat.worker}`, join(seat), model, share);
    return workOf(seat, share);
  });
  return Team.begin(work.length === 1 ? BASELINE : `${work.length} workers`, work, dataplane);
}

/** Workers that start together. */
class Team implements Racer {
  readonly name: string;
  readonly #workers: Workers<null>;
  readonly #control: Int32Array;
  readonly #frames: number;
  #times = 1;
  #judged = 0;

  private constructor(name: string, work: readonly Work[]) {
    this.name = name;
    this.#control = work[0].control;
    this.#frames = work.reduce((sum, { frames }) => sum + frames.length, 0);
    const file = new URL("./threads-worker.js", import.meta.url);
    this.#workers = new Workers(
      file,
      work.map((each) => ({ ...each, control: this.#control })),
    );
  }

  /** @param counting what their counters are read from */
  static async begin(name: string, work: readonly Work[], counting: Dataplane | null): Promise<Team> {
    const forwarded = () => counting?.counters(0).verdicts.TRANSMIT ?? 0n;
    const before = forwarded();
    const team = new Team(name, work);
    await team.#workers.next();
    // Until the engine has compiled what is run, and a sample is long enough.
    for (let [ms, round] = [0, 0]; round < 4 || ms < SAMPLE_MS; round++) {
      ms = await team.#round();
      if (round > 1 && ms < SAMPLE_MS) team.#times = Math.ceil(team.#times * Math.min(8, SAMPLE_MS / ms + 0.1));
    }
    const counted = forwarded() - before;
    if (counting !== null && counted !== BigInt(team.#judged))
      throw new WrongAnswer(`${name}: ${counted} packets counted, ${team.#judged} judged`);
    return team;
  }

  async sample(): Promise<number> {
    return ((await this.#round()) * 1e6) / (this.#frames * this.#times);
  }

  /** @returns milliseconds */
  async #round(): Promise<number> {
    const done = this.#workers.next();
    Atomics.store(this.#control, TIMES, this.#times);
    const start = performance.now();
    Atomics.add(this.#control, ROUND, 1);
    Atomics.notify(this.#control, ROUND);
    await done;
    this.#judged += this.#times * this.#frames;
    return performance.now() - start;
  }

  end(): Promise<void> {
    return this.#workers.terminate();
  }
}

/** What a worker will do, done once by this thread. */
function verify(name: string, dataplane: Dataplane, model: Model, frames: readonly Frame[]): void {
  const engine = dataplane.net(0);
  const batch = engine.createBatch(BATCH, SLOT_SIZE);
  for (let at = 0; at < frames.length; at += BATCH) {
    put(batch, frames.slice(at, at + BATCH));
    check(name, engine, referenceEngine(model.nets[0], model.kernel), batch, at === 0);
  }
}
