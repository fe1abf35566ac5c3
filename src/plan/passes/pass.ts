/** What a pass is: a plan in, a plan out that does the same. The same object when there was nothing to do. */
import type { Plan } from "../ir.ts";

/** Names of the procs worth a look; null or absent: all of them. */
export type Only = ReadonlySet<string> | null;

export type Run = (plan: Plan, only?: Only) => Plan;
