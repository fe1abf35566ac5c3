/**
 * The programs that set-up scripts call, one line each. What a program does to the network is in the file of its name;
 * what no network can hold is refused as `Unsupported`, so that the line is reported and kept.
 */
import type { DeviceProperty } from "../../dsl/ast.ts";
import { runIfconfig } from "./ifconfig.ts";
import { runIp } from "./ip.ts";
import type { Run } from "./run.ts";
import { type Redirect, readScript, type Statement, type Word } from "./shell.ts";
import { keyOfFile, runSysctl, setSysctl } from "./sysctl.ts";
import { Refused, Unsupported, Words } from "./words.ts";

type Command = Extract<Statement, { kind: "command" }>;

/** They wait, print, or prepare the machine: nothing that a network is made of, so they leave no trace. */
const WITHOUT_EFFECT = new Set(
  "set sleep modprobe true : wait exit return shift unset trap ulimit umask cd pwd date which command type hash logger clear sync udevadm tcpdump ss netstat arping traceroute mtr cat grep head tail wc test [ [[ id whoami uname lsmod dmesg ethtool".split(
    " ",
  ),
);
/** Programs that run what follows them. */
const PREFIXES = new Set(["sudo", "time", "env", "nohup", "exec", "command", "doas", "stdbuf", "timeout"]);
const SHELLS = new Set(["sh", "bash", "dash", "ash"]);
/** Scripts run inside scripts run inside scripts: enough. */
const MAX_DEPTH = 10;

/** Runs one command. Throws `Refused` and `Unsupported`. */
export function runCommand(run: Run, command: Command): void {
  runProgram(run, programOf(command), 0);
}

interface Program {
  readonly words: readonly Word[];
  readonly redirects: readonly Redirect[];
}

/** `echo 1 | tee FILE` is `echo 1 > FILE`; what is only looked at through a pipe has no effect. */
function programOf({ words, pipe, redirects }: Command): Program {
  if (pipe === undefined) return { words, redirects };
  const target = pipe.find((word) => word.text !== "sudo" && word.text !== "tee" && !word.text.startsWith("-"));
  if (words[0]?.text === "echo" && pipe.some((word) => word.text === "tee") && target)
    return { words, redirects: [...redirects, { operator: ">", fd: "", target }] };
  if (words[0] !== undefined && ["echo", "cat", "printf", "yes"].includes(words[0].text))
    throw new Unsupported("a pipe into another program");
  return { words, redirects };
}

function runProgram(run: Run, { words, redirects }: Program, depth: number): void {
  const [program, ...args] = words;
  if (program === undefined) return;
  if (depth > MAX_DEPTH) throw new Unsupported("commands nested this deep", program.span);
  const name = program.text.replace(/^\/(usr\/)?(local\/)?s?bin\//, "");
  if (PREFIXES.has(name)) runProgram(run, { words: afterOptions(name, args), redirects }, depth + 1);
  else if (SHELLS.has(name)) runShell(run, args, depth);
  else if (name === "ip") {
    const execute = (inner: Run, rest: readonly Word[]) => runProgram(inner, { words: rest, redirects }, depth + 1);
    runIp(run, args, execute, (inner, file) => runBatch(inner, file, redirects, depth));
  } else if (name === "echo" || name === "printf") runEcho(run, args, redirects);
  else if (/^ping[46]?$/.test(name)) run.results.pings.push({ ns: run.ns, words: args });
  else if (name === "sysctl") runSysctl(run, args);
  else if (name === "ifconfig") runIfconfig(run, args);
  else if (name === "tc") runTc(run, args);
  else if (!WITHOUT_EFFECT.has(name)) throw new Unsupported(`\`${name}\``, program.span);
}

/** `sudo -E ip …`, `timeout 5 ping …`, `env A=B ip …` */
function afterOptions(prefix: string, args: readonly Word[]): readonly Word[] {
  const isSkipped = ({ text }: Word) =>
    text.startsWith("-") || /^\w+=/.test(text) || (prefix === "timeout" && /^[\d.]+[smh]?$/.test(text));
  const first = args.findIndex((word) => !isSkipped(word));
  return first < 0 ? [] : args.slice(first);
}

/** `sh -c 'echo 1 > /proc/sys/…'` */
function runShell(run: Run, args: readonly Word[], depth: number): void {
  const [option, text] = args;
  if (option === undefined || !/^-[a-z]*c$/.test(option.text) || text === undefined)
    throw new Unsupported("running another script", option?.span);
  for (const statement of readScript(text.text)) {
    if (statement.kind === "unreadable") throw new Unsupported(statement.why, text.span);
    if (statement.kind !== "command") continue;
    const { words, redirects } = programOf(statement);
    runProgram(run, { words: at(text, words), redirects }, depth + 1);
  }
}

/** Words of a text inside a word stand where that word does. */
const at = ({ span }: Word, words: readonly Word[]): Word[] => words.map(({ text }) => ({ text, span }));

/** `ip -batch FILE`: a line is an `ip` command without the `ip`. */
function runBatch(run: Run, file: Word, redirects: readonly Redirect[], depth: number): void {
  const here = redirects.find((redirect) => redirect.operator === "<<");
  const named = redirects.find((redirect) => redirect.operator === "<")?.target ?? file;
  const text = file.text === "-" && here ? here.target.text : run.setting.readFile(named.text);
  if (text === undefined) throw new Unsupported(`the file \`${named.text}\` is not at hand`, named.span);
  for (const statement of readScript(text)) {
    if (statement.kind === "unreadable") throw new Unsupported(statement.why, file.span);
    if (statement.kind !== "command") continue;
    const words = [{ text: "ip", span: file.span }, ...at(file, statement.words)];
    runProgram(run, { words, redirects: [] }, depth + 1);
  }
}

/** `echo VALUE > FILE`: a kernel setting, a name for a table, or nothing to do with the network. */
function runEcho(run: Run, args: readonly Word[], redirects: readonly Redirect[]): void {
  const redirect = redirects.find(({ operator, fd }) => operator.startsWith(">") && fd !== "2" && fd !== "&");
  if (redirect === undefined || redirect.target.text === "/dev/null" || redirect.target.text.startsWith("/dev/std"))
    return;
  const file = redirect.target;
  const value = args
    .filter((word) => !/^-[neE]+$/.test(word.text))
    .map((word) => word.text)
    .join(" ")
    .trim();
  const key = keyOfFile(file.text);
  if (key !== null) {
    setSysctl(run, key, value, run.span);
    return;
  }
  const table = /^(\d+)\s+(\S+)$/.exec(value);
  if (/^\/(etc|usr\/share|usr\/lib)\/iproute2\/rt_tables(\.d\/.*)?$/.test(file.text) && table) {
    run.network.tables.set(table[2], Number(table[1]));
    return;
  }
  throw new Unsupported(`writing to \`${file.text}\``, file.span);
}

/** `tc qdisc add dev D root KIND …`: only that a queueing discipline is there matters, and only on a VRF. */
function runTc(run: Run, args: readonly Word[]): void {
  const words = new Words(args);
  const object = words.next();
  const action = words.isDone ? undefined : words.next();
  if (!"qdisc".startsWith(object.text) || action === undefined)
    throw new Unsupported(`\`tc ${object.text}\``, object.span);
  if ("show".startsWith(action.text) || action.text === "list") return;
  const text = args.map((word) => word.text);
  const deviceWord = args[text.indexOf("dev") + 1];
  const root = text.indexOf("root");
  if (!text.includes("dev") || deviceWord === undefined || root < 0)
    throw new Unsupported("queueing disciplines other than a device's root", action.span);
  const device = run.touch(run.device(deviceWord));
  if (["del", "delete"].includes(action.text)) {
    if (!device.settings.delete("qdisc"))
      throw new Refused("Error: Cannot delete qdisc with handle of zero.", action.span);
    return;
  }
  const kindAt = text.findIndex((word, i) => i > root && word !== "handle" && text[i - 1] !== "handle");
  const kind = args[kindAt];
  if (kind === undefined) throw new Unsupported("a queueing discipline without a kind", action.span);
  if (kindAt + 1 < args.length) run.leaveOut(...args.slice(kindAt + 1));
  const property: DeviceProperty = { kind: "qdisc", span: run.span, qdisc: { value: kind.text, span: kind.span } };
  device.settings.set("qdisc", property);
}
