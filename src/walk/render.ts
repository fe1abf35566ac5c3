/** Walks as text: aligned and coloured on a terminal, plain in a pipe. */
import { NETFILTER_HOOKS } from "../../runtime/hooks.ts";
import type { Painter } from "../cli/colour.ts";
import type { WalkLine, WalkOrigin } from "./line.ts";
import type { WalkStep } from "./walk.ts";

const TITLE_WIDTH = 31;

export function renderWalk(steps: readonly WalkStep[], paint: Painter): string {
  return deviceHooksTogether(steps)
    .map((step) => renderStep(step, paint))
    .join("");
}

/** `xdp, tc ingress, netdev ingress vethr1`: the hooks of one device, one after the other, on one line. */
function deviceHooksTogether(steps: readonly WalkStep[]): WalkStep[] {
  const joined: WalkStep[] = [];
  for (const step of steps) {
    const last = joined.at(-1);
    const device = deviceOfHook(step);
    if (last !== undefined && device !== null && deviceOfHook(last) === device)
      joined[joined.length - 1] = { ...last, title: `${last.title.slice(0, -device.length - 1)}, ${step.title}` };
    else joined.push(step);
  }
  return joined;
}

const deviceOfHook = ({ hook }: WalkStep): string | null =>
  hook === undefined || NETFILTER_HOOKS.includes(hook.name) ? null : (hook.in ?? hook.out);

function renderStep(step: WalkStep, paint: Painter): string {
  const title = step.detail === "" ? step.title : step.title.padEnd(TITLE_WIDTH);
  const head = `${String(step.n).padStart(4)}  ${paintTitle(title, step, paint)}${step.detail === "" ? "" : ` ${step.detail}`}\n`;
  const width = Math.max(0, ...step.lines.map((line) => lead(line).length));
  return head + step.lines.map((line) => renderLine(line, width, paint)).join("");
}

function paintTitle(title: string, step: WalkStep, paint: Painter): string {
  switch (step.end) {
    case "sent":
    case "local":
      return paint.good(title);
    case "dropped":
    case "error":
      return paint.bad(title);
    default:
      return paint.strong(title);
  }
}

/** Rules are labelled by preference, tables are indented below the rule that asked them. */
const lead = (line: WalkLine): string =>
  line.kind === "rule" ? `${String(line.id).padStart(11)}: ${line.text}` : `${"".padStart(15)}${line.text}`;

function renderLine(line: WalkLine, width: number, paint: Painter): string {
  const said = [line.outcome === "found" ? "" : line.outcome, line.why].filter((s) => s !== "").join(": ");
  const origin = originText(line.origin);
  const text =
    `${lead(line).padEnd(width)}  ${said}${origin === "" ? "" : `${said === "" ? "" : "  "}(${origin})`}`.trimEnd();
  const faint = line.outcome === "no match" || line.outcome === "nothing here";
  return `${faint ? paint.faint(text) : text}\n`;
}

/** `seed.vrf:7`, `kernel: connected route ..., seed.vrf:7`, `kernel default`. */
export function originText(origin: WalkOrigin | null): string {
  if (origin === null) return "";
  const place = origin.line === undefined ? "" : `${origin.file}:${origin.line}`;
  const kernel = origin.kernel ?? "";
  return [kernel, place].filter((s) => s !== "").join(", ");
}
