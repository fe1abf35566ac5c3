/**
 * A program runs over a frame: its rules, in the order and with the meaning of a chain's (netfilter/nf_tables_core.ts), and the
 * verdict in the words of its hook.
 * k:include/linux/filter.h bpf_prog_run_xdp, net/sched/cls_bpf.c cls_bpf_classify, cls_bpf_exec_opcode.
 */
import type { Program, TcAction, XdpAction } from "../../../dsl/chain-model.ts";
import type { IfIndex } from "../../../runtime/brand.ts";
import type { ProgramHook } from "../../../runtime/hooks.ts";
import { type ChainVerdict, nft_do_rules, type ProgramVerdict } from "../netfilter/nf_tables_core.ts";
import type { PktInfo } from "../netfilter/pktinfo.ts";

/** Programs by the hook of a device that they stand on, in the order in which they run. */
export class AttachedPrograms {
  readonly #programs: readonly Program[];

  constructor(programs: readonly Program[]) {
    this.#programs = programs.toSorted((a, b) => a.priority - b.priority);
  }

  at(hook: ProgramHook, device: IfIndex): readonly Program[] {
    return this.#programs.filter((program) => program.hook === hook && program.device === device);
  }
}

export type ProgramEnd =
  | { readonly action: XdpAction | TcAction | "UNSPEC" }
  | { readonly action: "REDIRECT"; readonly device: number };

export function bpf_prog_run(program: Program, pkt: PktInfo): ProgramEnd {
  const { id, hook, device } = program;
  pkt.net.record({ step: "program", hook, device, program: id });
  const end = endOf(program, nft_do_rules(program, pkt));
  pkt.net.record({ step: "program_end", program: id, decision: end.action });
  return end;
}

function endOf({ hook, policy }: Program, verdict: ChainVerdict | ProgramVerdict | null): ProgramEnd {
  const decided = verdict ?? policy;
  const isXdp = hook === "xdp";
  switch (decided?.kind) {
    case undefined:
      return { action: isXdp ? "PASS" : "UNSPEC" };
    case "accept":
      return { action: isXdp ? "PASS" : "OK" };
    case "drop":
      return { action: isXdp ? "DROP" : "SHOT" };
    case "xdp":
    case "tc":
      return { action: decided.action };
    case "redirect":
      return { action: "REDIRECT", device: decided.device };
    default:
      throw new RangeError(`${decided?.kind} in a program`);
  }
}
