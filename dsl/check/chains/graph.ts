/**
 * Which chains lead where: jump loops, depth, and the hooks that a regular chain can be reached from. All of it from the names
 * in the text, before anything has an id.
 *
 * Kernel: nft_chain_validate counts `goto` like `jump`, and refuses level NFT_JUMP_STACK_SIZE.
 */
import type { Name } from "../../ast.ts";
import type { Chain, Clause, Element, FilterRule, Program, SetDecl, Term } from "../../chain-ast.ts";
import { JUMP_DEPTH_MAX } from "../../chain-model.ts";
import type { Reporter } from "../report.ts";

export interface ChainGraph {
  /** The chains that each chain, and each program (by `programNode`), leads to, with the word that says so. */
  readonly targets: ReadonlyMap<string, readonly Name[]>;
}

/** No chain has a name with a space in it. */
export const programNode = (program: Program): string => `program ${program.name.value}`;

export function chainGraph(
  chains: readonly Chain[],
  sets: readonly SetDecl[],
  programs: readonly Program[],
): ChainGraph {
  const bySet = new Map(sets.map((set) => [set.name.value, jumpsOf(set.elements)]));
  const targets = new Map<string, Name[]>();
  for (const chain of chains) {
    const list = targets.get(chain.name.value) ?? [];
    list.push(...ruleTargets(chain.rules, bySet));
    targets.set(chain.name.value, list);
  }
  for (const program of programs) targets.set(programNode(program), ruleTargets(program.rules, bySet));
  return { targets };
}

const ruleTargets = (rules: readonly FilterRule[], bySet: ReadonlyMap<string, readonly Name[]>): Name[] =>
  rules.flatMap((rule) => rule.clauses.flatMap((clause) => clauseTargets(clause, bySet)));

function clauseTargets(clause: Clause, bySet: ReadonlyMap<string, readonly Name[]>): readonly Name[] {
  if (clause.kind === "verdict") return clause.chain === undefined ? [] : [clause.chain];
  return clause.kind === "vmap" ? mapTargets(clause.map, bySet) : [];
}

function mapTargets(map: Term, bySet: ReadonlyMap<string, readonly Name[]>): readonly Name[] {
  if (map.kind === "set") return jumpsOf(map.elements);
  return map.kind === "ref" ? (bySet.get(map.name) ?? []) : [];
}

const jumpsOf = (elements: readonly Element[]): Name[] =>
  elements.flatMap(({ value }) => (value?.kind === "verdict" && value.chain !== undefined ? [value.chain] : []));

/** Reports loops and chains of jumps that are too long; false when there is one. */
export function checkJumps({ targets }: ChainGraph, report: Reporter): boolean {
  const depth = new Map<string, number>();
  let sound = true;
  /** Levels below this chain; what is on the way here is `path`. */
  const measure = (chain: string, path: readonly string[]): number => {
    const known = depth.get(chain);
    // Deeper is refused anyway, and a text may hold any number of chains.
    if (known !== undefined || path.length > JUMP_DEPTH_MAX) return known ?? 0;
    let deepest = 0;
    for (const target of targets.get(chain) ?? []) {
      const loop = [...path, chain].indexOf(target.value);
      if (loop >= 0) {
        report.error("E0407", target.span, "chains lead in a circle", {
          label: [...path, chain].slice(loop).concat(target.value).join(" -> "),
          kernel: "Error: Could not process rule: Too many links",
        });
        sound = false;
        continue;
      }
      const level = 1 + measure(target.value, [...path, chain]);
      if (level === JUMP_DEPTH_MAX) {
        report.error("E0407", target.span, `jumps go ${JUMP_DEPTH_MAX} chains deep`, {
          label: `at most ${JUMP_DEPTH_MAX - 1}`,
          kernel: "Error: Could not process rule: Too many links",
        });
        sound = false;
      }
      deepest = Math.max(deepest, level);
    }
    depth.set(chain, deepest);
    return deepest;
  };
  for (const chain of targets.keys()) measure(chain, []);
  return sound;
}

/** For each chain what can be said of the starts that lead to it. `targets` has no loops. */
export function reached<T>(
  { targets }: ChainGraph,
  starts: readonly { readonly chain: string; readonly what: T }[],
): ReadonlyMap<string, ReadonlySet<T>> {
  const from = new Map<string, Set<T>>();
  const visit = (chain: string, what: T): void => {
    const known = from.get(chain) ?? new Set<T>();
    if (known.has(what)) return;
    from.set(chain, known.add(what));
    for (const target of targets.get(chain) ?? []) visit(target.value, what);
  };
  for (const { chain, what } of starts) visit(chain, what);
  return from;
}
