/**
 * The command line. Each command is a module under ./commands, loaded when it is asked for, so that `check`, `fmt` and
 * `explain` of the reference never load binaryen.
 *
 * Exit status: 0 all well, 1 findings (diagnostics, failed tests, differences), 2 wrong use.
 */
import { type CAC, cac } from "cac";
import { suggest } from "../../dsl/suggest.ts";
import { VERSION } from "../version.ts";
import { painter } from "./colour.ts";
import { DUMP_COMMANDS } from "./dump-files.ts";
import { EXIT, UsageError } from "./io.ts";

const KERNEL = [
  "--kernel <profile>",
  "Whose behaviour to follow: 5.4, 6.1 or 6.15 (default: what the file says, else 6.1)",
] as const;
const JSON_OUT = ["-j, --json", "Print JSON with a `schema` version"] as const;
const COLOUR = ["--color <when>", "auto, always or never", { default: "auto" }] as const;
const ENGINE = [
  "--engine <engine>",
  "compiled (WebAssembly) or reference (the plain interpreter)",
  { default: "compiled" },
] as const;

const CONTROL = [
  "--control <path>",
  "Socket by which `top` and `reload` reach it (default: /run/vrfc/NAMESPACE.sock)",
] as const;
const RUNNING = ["-n, --namespace <name>", "The namespace that is forwarded for", { default: "host" }] as const;

function commandLine(): CAC {
  const cli = cac("vrfc");

  cli
    .command("check [...files]", "Check policies: diagnostics with the line, the reason and the edit that mends it")
    .option(...JSON_OUT)
    .option(...KERNEL)
    .option(...COLOUR)
    .option("--explain <code>", "Tell more about a diagnostic, e.g. E0201")
    .option("--cost", "Print the most wasm instructions that a packet takes, whole and in each chain")
    .example("  vrfc check examples/seed.vrf")
    .action(lazy(() => import("./commands/check.ts")));

  cli
    .command("fmt [...files]", "Format policies in place (`-`: standard input to standard output)")
    .option("--check", "Change nothing; exit 1 if a file is not formatted")
    .option(...COLOUR)
    .action(lazy(() => import("./commands/fmt.ts")));

  cli
    .command("compile <file>", "Compile a policy to one self-contained WebAssembly module")
    .option("-o, --output <file>", "Where to write it (default: FILE with .wasm)")
    .option("-O, --optimize <level>", "0, 1 or 2", { default: 2 })
    .option(
      "--c-network <file>",
      "Write what a forwarder in C must know besides: names of devices, and what its kernel is told",
    )
    .option(
      "--lpm <structure>",
      "Force one look-up structure for every table: linear, blocks, ranges, dir24, poptrie or spill",
    )
    .option("--threads", "For several threads of one program, over a shared memory")
    .option("--c-program <file>", "With --program: write what a host in C must know besides the program's module")
    .option("--program <name>", "Only this program or base chain, to be attached to the module of the same networks")
    .option(...KERNEL)
    .option(...COLOUR)
    .option(...JSON_OUT)
    .example("  vrfc compile examples/seed.vrf -o seed.wasm")
    .example("  vrfc compile examples/xdp-scrubber.vrf --program scrub -o scrub.wasm")
    .action(lazy(() => import("./commands/compile.ts")));

  cli
    .command("dump <file>", "Print what a stage of the compiler produced")
    .option("--stage <stage>", "ast, model, fib, plan, layout or wat")
    .option("-O, --optimize <level>", "0, 1 or 2", { default: 2 })
    .option(...KERNEL)
    .option(...COLOUR)
    .example("  vrfc dump examples/seed.vrf --stage fib")
    .action(lazy(() => import("./commands/dump.ts")));

  cli
    .command(
      "import <what> [...files]",
      "Turn an iproute2 script or nftables rule set (`import FILE`, `import nft|nft-json FILE`) or a live machine's dump (`import ip-json DIR|FILE...`) into a policy",
    )
    .option("-o, --output <file>", "Where to write it", { default: "-" })
    .option("--no-assume-forwarding", "Do not assume net.ipv4.ip_forward = 1 for a router's script that never sets it")
    .option(...JSON_OUT)
    .option(...COLOUR)
    .example("  vrfc import examples/seed.sh -o seed.vrf")
    .example("  nft -j list ruleset | vrfc import nft-json -")
    .example(`  vrfc import ip-json dump -o live.vrf\n\nA dump is made with\n${DUMP_COMMANDS}`)
    .action(lazy(() => import("./commands/import.ts")));

  cli
    .command("explain <file> <packet>", "Which rule and which table decide for one packet, and why")
    .option("-n, --namespace <name>", "Where the packet is (default: the one that has the device, else host)")
    .option(...ENGINE)
    .option(...KERNEL)
    .option(...JSON_OUT)
    .option(...COLOUR)
    .example("  vrfc explain examples/seed.vrf 'in vethr1 icmp 10.0.0.7 > 10.0.1.7'")
    .example("  vrfc explain examples/seed.vrf 'out vrf udp 0.0.0.0 > 10.0.0.7 dport 53 mark 0x1'")
    .action(lazy(() => import("./commands/explain.ts")));

  cli
    .command("ping <file> <address>", "Ping through the network of a policy, with every namespace's walk")
    .option("--from <namespace>", "Where to ping from", { default: "host" })
    .option("-I, --interface <device>", "Bind to a device (SO_BINDTODEVICE) or send from an address, as ping -I")
    .option("-t, --ttl <ttl>", "Time to live of the request")
    .option("-m, --mark <mark>", "SO_MARK of the request, e.g. 0x1")
    .option(...ENGINE)
    .option(...KERNEL)
    .option(...JSON_OUT)
    .option(...COLOUR)
    .example("  vrfc ping examples/seed.vrf --from ns0 10.0.1.7")
    .action(lazy(() => import("./commands/ping.ts")));

  cli
    .command("test [...files]", "Run the `test` blocks of policies")
    .option("--walk", "Print every packet's walk too")
    .option(...ENGINE)
    .option(...KERNEL)
    .option(...JSON_OUT)
    .option(...COLOUR)
    .example("  vrfc test examples/seed.vrf")
    .action(lazy(() => import("./commands/test.ts")));

  cli
    .command(
      "replay <scenarios>",
      "Answer recorded kernel scenarios, and compare where they carry the kernel's answers",
    )
    .option("-o, --output <file>", "Write the answers as JSON")
    .option("-v, --verbose <n>", "Print up to N differences", { default: 10 })
    .option(...ENGINE)
    .option(...KERNEL)
    .option(...JSON_OUT)
    .example("  vrfc replay walks.json.gz -o answers.json")
    .action(lazy(() => import("./commands/replay.ts")));

  cli
    .command("bench <file>", "How fast a policy judges frames: of a capture, or drawn from its routes")
    .option("--pcap <capture>", "Frames of a pcap or pcapng file; those to a host's address go to the device's")
    .option("--traffic <kind>", "Else: uniform, in-prefix or zipf:S addresses", { default: "in-prefix" })
    .option("-d, --device <name>", "Receives them; may be repeated (default: each that is up and has an address)")
    .option("-n, --namespace <name>", "Which namespace of the file", { default: "host" })
    .option("--frames <n>", "How many to draw", { default: 4096 })
    .option("--seed <n>", "Of what is drawn", { default: 1 })
    .option("--seconds <n>", "How long to measure", { default: 2 })
    .option("--threads <n>", "Worker threads over one memory, from 1 to 63; each has the flows of its own", {
      default: 1,
    })
    .option(...KERNEL)
    .option(...JSON_OUT)
    .option(...COLOUR)
    .example("  vrfc bench examples/seed.vrf --traffic zipf:1")
    .example("  vrfc bench examples/seed.vrf --threads 2")
    .action(lazy(() => import("./commands/bench.ts")));

  cli
    .command("up <file>", "Forward between the real devices of this machine as a policy says (Linux, root)")
    .option("-n, --namespace <name>", "Which namespace of the file this machine is (default: the only one, else host)")
    .option(...CONTROL)
    .option("-O, --optimize <level>", "0, 1 or 2", { default: 2 })
    .option("--threads <n>", "Threads that forward; each has the flows of its own", { default: 1 })
    .option(...KERNEL)
    .option(...COLOUR)
    .example("  vrfc up examples/seed.vrf\n  ping -I vrf 10.0.0.7")
    .action(lazy(() => import("./commands/up.ts")));

  cli
    .command("reload", "Have a running forwarder read its file anew; one with errors changes nothing")
    .option(...RUNNING)
    .option(...CONTROL)
    .action(lazy(() => import("./commands/reload.ts")));

  cli
    .command("top", "Rates of a running forwarder by device, hook, verdict, drop reason, rule and route")
    .option(...RUNNING)
    .option(...CONTROL)
    .option("-i, --interval <seconds>", "Between two readings", { default: 1 })
    .option("-c, --count <n>", "End after N readings")
    .option("-j, --json", "Print the counters once, as JSON with a `schema` version")
    .action(lazy(() => import("./commands/top.ts")));

  cli.help();
  cli.version(VERSION, "--version");
  return cli;
}

type Command = { run: (...args: never[]) => Promise<number> | number };

/** An action that loads its command when run and hands its exit status on. */
const lazy =
  (load: () => Promise<Command>) =>
  async (...args: unknown[]): Promise<number> =>
    (await load()).run(...(args as never[]));

/** Stands for the word `-` (standard input or output) while cac parses: it would drop it. */
const DASH = "\0-";
const dash = <T>(value: T): T | "-" => (value === DASH ? "-" : value);

/** @returns the exit status */
export async function main(argv: readonly string[]): Promise<number> {
  const cli = commandLine();
  try {
    const words = argv.map((word) => (word === "-" ? DASH : word));
    const parsed = cli.parse(["node", "vrfc", ...words], { run: false });
    if (parsed.options.help || parsed.options.version) return EXIT.OK;
    if (cli.matchedCommand === undefined) return noCommand(cli, parsed.args[0]);
    cli.args = parsed.args.map(dash);
    cli.options = Object.fromEntries(Object.entries(parsed.options).map(([name, value]) => [name, dash(value)]));
    return (await cli.runMatchedCommand()) as number;
  } catch (error) {
    if (!isUsageError(error)) throw error;
    const red = painter("auto", process.stderr).bad;
    console.error(`${red("vrfc:")} ${error.message}`);
    return EXIT.USAGE;
  }
}

const isUsageError = (error: unknown): error is Error =>
  error instanceof UsageError || (error instanceof Error && error.name === "CACError");

function noCommand(cli: CAC, given: string | undefined): number {
  if (given === undefined) {
    cli.outputHelp();
    return EXIT.USAGE;
  }
  const near = suggest(
    given,
    cli.commands.map((command) => command.name),
  );
  throw new UsageError(
    `no command \`${given}\`${near === null ? "" : `; did you mean \`${near}\`?`} (\`vrfc --help\` lists them)`,
  );
}
