/**
 * The oracle: answers scenarios (src/scenario.ts) with a real kernel.
 *
 *   this process --fw_cfg: agent, scenarios--> QEMU [ Debian's kernel [ agent.py ] ] --virtio port: one line an answer--> file
 *
 * Emulated by default: slower, but the same everywhere. VRFC_KERNEL_ACCEL=kvm where that works.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Answer, Scenario } from "../../src/scenario.ts";
import { type GuestImage, guestImage, OracleUnavailable, QEMU } from "./guest-image.ts";

/** A command of a set-up, as the kernel took it. */
export interface CommandAnswer {
  readonly cmd: string;
  /** Exit status. */
  readonly rc: number;
  readonly err?: string;
}

export interface KernelAnswer extends Answer {
  readonly setup: readonly CommandAnswer[];
  /** `ip -j` dumps by namespace, when the scenario asks for them with `dump: true`. */
  readonly dump?: unknown;
  /** The rule sets as they were loaded. */
  readonly nft?: Scenario["nft"];
  /** The agent could not finish this scenario: its traceback. */
  readonly failed?: string;
}

export interface OracleOptions {
  /** Told what takes its time. */
  readonly say?: (line: string) => void;
  /** Seconds, for all scenarios together. */
  readonly timeout?: number;
}
const DEFAULT_TIMEOUT = 1800;
const MEMORY = "1536";

/** @returns one answer a scenario, in their order. @throws OracleUnavailable when this machine cannot run the guest */
export async function askKernel(scenarios: readonly Scenario[], options: OracleOptions = {}): Promise<KernelAnswer[]> {
  const image = guestImage(options.say ?? (() => {}));
  const folder = mkdtempSync(join(tmpdir(), "vrfc-kernel-"));
  try {
    writeFileSync(join(folder, "scenarios"), JSON.stringify(scenarios));
    writeFileSync(join(folder, "answers"), "");
    await boot(image, folder, options.timeout ?? DEFAULT_TIMEOUT);
    const answers = readAnswers(folder);
    if (answers.length < scenarios.length)
      throw new OracleUnavailable(
        `the guest answered ${answers.length} of ${scenarios.length} scenarios\n${consoleTail(folder)}`,
      );
    return answers;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const agent = join(sourceFolder(), "agent.py");

/** Sources stay where they are when the TypeScript is compiled into dist. */
function sourceFolder(): string {
  let root = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(root, "test/kernel/agent.py"))) root = dirname(root);
  return join(root, "test/kernel");
}

function boot({ kernel, initrd }: GuestImage, folder: string, seconds: number): Promise<void> {
  const file = (name: string): string => join(folder, name);
  const args = [
    ...["-accel", process.env.VRFC_KERNEL_ACCEL ?? "tcg", "-cpu", "max", "-m", MEMORY, "-smp", "1"],
    ...["-nodefaults", "-display", "none", "-no-reboot", "-serial", `file:${file("console")}`],
    ...["-kernel", kernel, "-initrd", initrd],
    // Hooks are logged to the kernel's ring buffer, which holds those of one frame at least.
    ...["-append", "console=ttyS0 panic=-1 loglevel=1 log_buf_len=8M mitigations=off random.trust_cpu=on"],
    ...["-fw_cfg", `name=opt/vrfc/agent,file=${agent}`, "-fw_cfg", `name=opt/vrfc/scenarios,file=${file("scenarios")}`],
    ...["-device", "virtio-serial-pci", "-chardev", `file,id=answers,path=${file("answers")}`],
    ...["-device", "virtserialport,chardev=answers"],
  ];
  return new Promise((resolve, reject) => {
    const guest = spawn(QEMU, args, { stdio: ["ignore", "ignore", "pipe"] });
    let complaints = "";
    guest.stderr.on("data", (data) => (complaints += data));
    const timer = setTimeout(() => guest.kill("SIGKILL"), seconds * 1000);
    guest.on("error", (error) => reject(new OracleUnavailable(`${QEMU}: ${error.message}`)));
    guest.on("close", (code) => {
      clearTimeout(timer);
      if (code === null || code === 0) resolve();
      else reject(new OracleUnavailable(`${QEMU} ends with status ${code}: ${complaints.trim()}`));
    });
  });
}

const readAnswers = (folder: string): KernelAnswer[] =>
  readFileSync(join(folder, "answers"), "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

function consoleTail(folder: string): string {
  const file = join(folder, "console");
  return existsSync(file) ? readFileSync(file, "latin1").split("\n").slice(-12).join("\n") : "";
}
