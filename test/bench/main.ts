/** `npm run bench -- NAME`: the one door to all benchmarks. */
import { parseArgs } from "node:util";
import type { Family } from "../../runtime/net/ip.ts";
import { build } from "./build.ts";
import { chains } from "./chains.ts";
import { compile } from "./compile.ts";
import { forward } from "./forward.ts";
import { STREAMS, type Stream } from "./generate.ts";
import { WrongAnswer } from "./harness.ts";
import { lookup, lookup6, small, strides } from "./lookup.ts";
import { packets } from "./packets.ts";
import { peers } from "./peers.ts";
import { PlotError, plot } from "./plot.ts";
import { type BenchOptions, type Report, toJson, toText } from "./report.ts";
import { RoutesError } from "./routes.ts";
import { rules } from "./rules.ts";
import { threads } from "./threads.ts";
import { updates } from "./updates.ts";
import { vrfs } from "./vrfs.ts";

const BENCHES: Readonly<Record<string, { what: string; run: (options: BenchOptions) => Promise<Report> }>> = {
  lookup: { what: "IPv4 look-ups: each structure, 16, 256 and 65536 routes, three kinds of traffic", run: lookup },
  lookup6: { what: "the same for IPv6", run: lookup6 },
  small: { what: "tables of 1 to 4,000 routes: what is chosen against all that can be forced", run: small },
  strides: { what: "blocks: the split chosen against others", run: strides },
  build: { what: "a table from its file and from parsed routes to a module that can be asked", run: build },
  packets: { what: "whole packets: 64-byte frames forwarded between the slaves of 4 VRFs, hot and cold", run: packets },
  rules: { what: "64-byte frames through ip rule lists of 1, 16, 256 and 4,096 entries", run: rules },
  vrfs: { what: "64-byte frames through 1, 16, 256 and 4,000 VRFs of 100 routes each", run: vrfs },
  compile: {
    what: "text to a loaded dataplane: the seed, 4,000 VRFs with 400,000 routes; stages, memory",
    run: compile,
  },
  threads: { what: "the same by 1 and by 2 workers over one memory, and by 2 that share nothing", run: threads },
  updates: { what: "route changes on a loaded module, and packets while 100,000 a second arrive", run: updates },
  forward: {
    what: "real packets between network namespaces: the kernel, the forwarder in C, vrfc up; needs root and cc",
    run: forward,
  },
  chains: {
    what: "lists of 1 to 10,000 five-tuple rules, beside DPDK's rte_acl and nftables where those can be had",
    run: chains,
  },
  peers: {
    what: "look-ups of both families beside DPDK's and npm's, in turn; says what it needs and does not find",
    run: peers,
  },
};

const HELP = `npm run bench -- NAME [options]

${Object.entries(BENCHES)
  .map(([name, { what }]) => `  ${name.padEnd(10)}${what}`)
  .join("\n")}

  plot FILE...   draws what --json has printed: bench-NAME.svg for each NAME.json

  --json         print JSON
  --quick        small tables, few addresses: does it run and answer right?
  --rounds N     timed rounds (default 9, quick 3)
  --seed N       of tables and addresses (default 1)
  --routes FILE  on the routes of a file, not generated ones: "PREFIX NUMBER" a line or MRT, gzip or not; may be repeated
  --updates FILE updates: the changes of a file, "A PREFIX NUMBER" or "W PREFIX" a line, gzip or not; may be repeated
  --stream NAME  only these addresses: ${STREAMS.join(", ")}; may be repeated
  --rules DIR    chains: rule sets and traffic of files, not drawn ones (rule-sets.ts has their form)
  --drop         chains: a seeded half of the rules DROP in place of PASS
  --family N     chains: 6: with IPv6 addresses in place of each set's (default 4)
  --size N       generated tables of so many routes, beside those of files; chains: only lists of so many rules; may be repeated
  --slow         peers: also those that take minutes to build
  --out FOLDER   plot: where the charts go (default docs/bench)
  --peers        packets: beside XDP programs; needs root, clang, gcc, libbpf-dev, iproute2
  --help         this

Answers are compared with a reference before anything is timed; a difference ends the run with status 1.`;

class UsageError extends Error {}

function parseCommandLine(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        quick: { type: "boolean", default: false },
        rounds: { type: "string" },
        seed: { type: "string", default: "1" },
        routes: { type: "string", multiple: true, default: [] },
        updates: { type: "string", multiple: true, default: [] },
        stream: { type: "string", multiple: true, default: [] },
        rules: { type: "string" },
        drop: { type: "boolean", default: false },
        family: { type: "string", default: "4" },
        size: { type: "string", multiple: true, default: [] },
        slow: { type: "boolean", default: false },
        peers: { type: "boolean", default: false },
        out: { type: "string", default: "docs/bench" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < least)
    throw new UsageError(`--${name} takes a whole number from ${least}, not ${text}`);
  return n;
}

function familyOf(text: string): Family {
  if (text === "4" || text === "6") return Number(text) as Family;
  throw new UsageError(`--family takes 4 or 6, not ${text}`);
}

function streamOf(name: string): Stream {
  const stream = STREAMS.find((each) => each === name);
  if (stream === undefined) throw new UsageError(`no stream ${name}; there are ${STREAMS.join(", ")}`);
  return stream;
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseCommandLine(args);
  const [name, ...rest] = positionals;
  if (values.help || name === undefined) {
    console.log(HELP);
    return 0;
  }
  if (name === "plot") {
    for (const path of await plot(rest, values.out)) console.log(path);
    return 0;
  }
  const bench = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
  if (bench === undefined) throw new UsageError(`no benchmark ${name}; there are ${Object.keys(BENCHES).join(", ")}`);
  if (rest.length > 0) throw new UsageError(`one benchmark at a time: ${rest.join(" ")} is too much`);
  const options: BenchOptions = {
    quick: values.quick,
    rounds: wholeNumber("rounds", values.rounds ?? (values.quick ? "3" : "9"), 1),
    seed: wholeNumber("seed", values.seed, 0),
    routes: values.routes,
    updates: values.updates,
    streams: values.stream.length > 0 ? values.stream.map(streamOf) : STREAMS,
    rules: values.rules ?? null,
    drop: values.drop,
    family: familyOf(values.family),
    sizes: values.size.map((size) => wholeNumber("size", size, 1)),
    slow: values.slow,
    peers: values.peers,
    progress: process.stderr.isTTY ? (what) => process.stderr.write(`\r\x1b[K${what}`) : () => {},
  };
  const report = await bench.run(options);
  options.progress("");
  console.log(values.json ? toJson(report, options) : toText(report, options));
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof WrongAnswer) {
    console.error(`bench: wrong answer: ${error.message}`);
    process.exitCode = 1;
  } else if (
    error instanceof UsageError ||
    error instanceof RoutesError ||
    error instanceof PlotError ||
    (error as { code?: string }).code === "ENOENT"
  ) {
    console.error(`bench: ${(error as Error).message}`);
    process.exitCode = 2;
  } else {
    throw error;
  }
}
