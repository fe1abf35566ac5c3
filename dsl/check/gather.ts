/**
 * Which namespaces a text has and what belongs to each: items outside a namespace are the host's, a namespace may be
 * opened several times, and a test opens namespaces once more to add to them.
 */
import type { File, Item, Namespace, Test } from "../ast.ts";
import { didYouMean } from "./names.ts";
import type { Reporter } from "./report.ts";

export const HOST = "host";

/** One namespace's items in text order. `added` marks those that a test adds: they may extend devices already there. */
export interface NamespaceItems {
  readonly name: string;
  readonly items: readonly { readonly item: Item; readonly added: boolean }[];
}

/** In order of first appearance. There is always at least one namespace, so that an empty text is an empty host. */
export function gatherNamespaces(file: File, test: Test | null, report: Reporter): NamespaceItems[] {
  const byName = new Map<string, { item: Item; added: boolean }[]>();
  const into = (name: string) => byName.get(name) ?? byName.set(name, []).get(name)!;
  for (const item of file.items) {
    if (item.kind === "namespace") into(item.name.value).push(...item.items.map((i) => ({ item: i, added: false })));
    else if (item.kind !== "kernel" && item.kind !== "test") into(HOST).push({ item, added: false });
  }
  if (byName.size === 0) into(HOST);
  for (const namespace of test?.additions ?? []) addTo(namespace, byName, report);
  return [...byName].map(([name, items]) => ({ name, items }));
}

function addTo(namespace: Namespace, byName: Map<string, { item: Item; added: boolean }[]>, report: Reporter): void {
  const items = byName.get(namespace.name.value);
  if (items === undefined) {
    report.error("E0201", namespace.name.span, `no namespace \`${namespace.name.value}\` in this file`, {
      label: "a test adds to namespaces that exist",
      ...didYouMean(namespace.name, byName.keys()),
    });
    return;
  }
  items.push(...namespace.items.map((item) => ({ item, added: true })));
}
