/** Sets that stand between braces in a rule, or that a field implies: without a name, and never changed. */
import { type Field, type SetElement, type SetId, setId } from "../../chain-model.ts";
import type { Span } from "../../span.ts";
import type { TableScope } from "./scope.ts";

export function anonymousSet(
  scope: TableScope,
  key: readonly Field[],
  value: Field | "verdict" | null,
  interval: boolean,
  elements: readonly SetElement[],
  span: Span,
): SetId {
  const { sets } = scope.draft;
  const id = setId(sets.length);
  const origin = { span };
  sets.push({ id, table: scope.index, name: null, key, value, interval, storage: null, size: null, elements, origin });
  return id;
}
