/**
 * `vrfc up FILE`: attaches a namespace of a policy to the real devices of this machine, and forwards until it is told to stop.
 *
 *   SIGHUP, `vrfc reload`   reads the file anew; one with errors changes nothing
 *   SIGINT, SIGTERM         undoes what was done to the machine, and ends
 */
import type { Server } from "node:net";
import { renderDiagnostics } from "../../../dsl/index.ts";
import type { Model, Net } from "../../../dsl/model.ts";
import { formatMac } from "../../../runtime/net/mac.ts";
import { type Answer, controlPath, listen } from "../../forward/control.ts";
import type { RealDevice } from "../../forward/devices.ts";
import type { Network } from "../../forward/forwarder.ts";
import { ForwardError, loadNative, type Native } from "../../forward/native.ts";
import { machineDevices, networkOf, requireDevices, wantedDevices } from "../../forward/network.ts";
import { Supervisor } from "../../forward/supervisor.ts";
import { painter } from "../colour.ts";
import { EXIT, UsageError } from "../io.ts";
import { checkFile, choiceOption, colourOption, namespaceNamed, numberOption, type PolicyOptions } from "../policy.ts";

export interface UpOptions extends PolicyOptions {
  readonly namespace?: string;
  readonly control?: string;
  readonly optimize: string | number;
  readonly threads: string | number;
}

const HOST = "host";
/** One for each processor is most that helps. */
const MOST_UP_THREADS = 32;

export async function run(file: string, options: UpOptions): Promise<number> {
  try {
    return await up(file, options);
  } catch (error) {
    if (error instanceof ForwardError) throw new UsageError(error.message);
    throw error;
  }
}

/** What a file says, for this machine. */
interface Prepared {
  readonly name: string;
  readonly devices: readonly RealDevice[];
  readonly network: Network;
}

async function up(file: string, options: UpOptions): Promise<number> {
  if (file === "-") throw new UsageError("up needs a file that it can read again: not standard input");
  const threads = threadsOption(options);
  const native = await loadNative();
  const first = await prepare(native, file, options, { demanding: true });
  if ("errors" in first) {
    process.stderr.write(first.errors);
    return EXIT.FINDINGS;
  }

  const ending = new AbortController();
  const ended = new Promise<number>((resolve, reject) => {
    ending.signal.addEventListener("abort", () => {
      const { reason } = ending.signal;
      if (reason instanceof Error) reject(reason);
      else resolve(EXIT.OK);
    });
  });
  const supervised = { failed: (error: Error) => ending.abort(error), returned: () => void reload() };
  const supervisor = new Supervisor(supervised, threads);
  let reloading: Promise<Answer> | null = null;
  let waiting: Promise<Answer> | null = null;
  /** One at a time; all who ask while one is under way get the answer of the one after it. */
  const reload = (): Promise<Answer> => {
    waiting ??= (reloading ?? Promise.resolve()).then(() => {
      waiting = null;
      reloading = reloadOnce(native, supervisor, file, options);
      return reloading;
    });
    return waiting;
  };

  const path = options.control ?? controlPath(first.name);
  let server: Server | null = null;
  try {
    server = await listen(path, async ({ command }) =>
      command === "reload" ? reload() : { ok: true, reading: await supervisor.counters() },
    );
    await supervisor.load(first.network);
    for (const line of greeting(file, first, path)) console.log(line);
    process.on("SIGHUP", () => void reload());
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ending.abort(signal));
    const status = await ended;
    console.log(`${file}: stopped`);
    return status;
  } finally {
    server?.close();
    await supervisor.stop();
  }
}

const greeting = (file: string, { name, devices }: Prepared, control: string): string[] => [
  `${file}: forwarding for namespace ${name}`,
  ...devices.map(({ name: device, mac, mtu }) => `  ${device}  ${formatMac(mac)}  mtu ${mtu}`),
  `counters: vrfc top --control ${control}`,
];

async function reloadOnce(native: Native, supervisor: Supervisor, file: string, options: UpOptions): Promise<Answer> {
  try {
    const next = await prepare(native, file, options, { demanding: false });
    if ("errors" in next) return refused(file, next.errors);
    await supervisor.load(next.network);
    console.log(`${file}: reloaded`);
    return { ok: true };
  } catch (error) {
    if (error instanceof ForwardError || error instanceof UsageError) return refused(file, `${error.message}\n`);
    throw error;
  }
}

function refused(file: string, why: string): Answer {
  process.stderr.write(`${why}${file}: not reloaded, the policy stays as it was\n`);
  return { ok: false, why };
}

/** @param demanding every device must be there @throws ForwardError */
async function prepare(
  native: Native,
  file: string,
  options: UpOptions,
  { demanding }: { demanding: boolean },
): Promise<Prepared | { readonly errors: string }> {
  const level = Number(choiceOption("optimize", options.optimize, ["0", "1", "2"])) as 0 | 1 | 2;
  const asWritten = checked(file, options);
  if ("errors" in asWritten) return asWritten;
  const written = chosen(asWritten.model, options.namespace);
  const present = machineDevices(native, wantedDevices(written));
  requireDevices(written, present, demanding);
  // Once more, now that the devices have said what the text has not.
  const here = checked(file, { ...options, machine: { namespace: written.name, devices: present } });
  if ("errors" in here) return here;
  const net = here.model.nets[written.index];
  const network = await networkOf(here.model, net, present, { level, threads: threadsOption(options) > 1 });
  return { name: net.name, devices: [...present.values()], network };
}

const threadsOption = ({ threads }: UpOptions): number => numberOption("threads", threads, 1, MOST_UP_THREADS);

function checked(file: string, options: PolicyOptions): { readonly model: Model } | { readonly errors: string } {
  const { source, model, diagnostics } = checkFile(file, options);
  if (model !== null) return { model };
  const errors = diagnostics.filter((d) => d.severity === "error");
  const color = painter(colourOption(options.color), process.stderr).enabled;
  return { errors: renderDiagnostics(source, errors, { color }) };
}

/** The namespace that this machine is. */
function chosen(model: Model, name: string | undefined): Net {
  if (name !== undefined) return namespaceNamed(model, name);
  if (model.nets.length === 1) return model.nets[0];
  const host = model.nets.find((net) => net.name === HOST);
  if (host === undefined)
    throw new UsageError(
      `which namespace is this machine? --namespace ${model.nets.map((net) => net.name).join(" or ")}`,
    );
  return host;
}
