/**
 * The elements of a set or map as the reference keeps them: a list, in the order in which they came, looked through from the front. What
 * a host changes goes by the same door as that of a loaded module (runtime/maps/map.ts).
 */
import type { Decision, Netfilter, SetDef, SetElement } from "../../../dsl/chain-model.ts";
import type { Device } from "../../../dsl/model.ts";
import { isArray } from "../../../runtime/hooks.ts";
import { NamedMap } from "../../../runtime/maps/map.ts";
import { called } from "../../../runtime/maps/names.ts";
import { type Element, isSingle, type Key, type Value } from "../../../runtime/maps/shape.ts";
import type { MapStore } from "../../../runtime/maps/store.ts";
import { decisionsOf, describeMap, elementsOf, namedOf } from "../../netfilter/maps.ts";

export interface SetState extends Omit<SetDef, "elements"> {
  elements: SetElement[];
}

export const stateOf = (set: SetDef): SetState => ({ ...set, elements: [...set.elements] });

/** @throws RangeError when there is no set or map of this name, or several tables have one */
export function openElements(
  name: string,
  netfilter: Netfilter,
  sets: readonly SetState[],
  devices: readonly Device[],
): NamedMap {
  const found = called(
    sets.map((state) => ({ ...namedOf(netfilter, state), state })),
    name,
  );
  if (found.length === 0) throw new RangeError(`no set or map ${name} in this namespace`);
  if (found.length > 1) throw new RangeError(`several tables have a ${name}`);
  const [{ state }] = found;
  const decisions = decisionsOf(netfilter, netfilter.sets[state.id]);
  const about = describeMap(netfilter, state, decisions);
  return new NamedMap(name, about, new Elements(state, decisions), devices);
}

const sameKey = (a: Key, b: Key): boolean =>
  a.every(({ first, last }, i) => first === b[i].first && last === b[i].last);
const meet = (a: Key, b: Key): boolean => a.every(({ first, last }, i) => first <= b[i].last && b[i].first <= last);

class Elements implements MapStore {
  readonly #state: SetState;
  readonly #decisions: readonly Decision[];

  constructor(state: SetState, decisions: readonly Decision[]) {
    this.#state = state;
    this.#decisions = decisions;
  }

  get size(): number {
    return [...this.entries()].length;
  }

  get(key: Key): Value | undefined {
    return [...this.entries()].find((element) => sameKey(element.key, key))?.value;
  }

  set(key: Key, value: Value): void {
    this.#become(this.#with(this.#state.elements, { key, value }));
  }

  delete(key: Key): boolean {
    const kept = this.#state.elements.filter((element) => !sameKey(element.key, key));
    if (kept.length === this.#state.elements.length) return false;
    this.#become(kept);
    return true;
  }

  replace(elements: readonly Element[]): void {
    this.#become(elements.reduce<SetElement[]>((all, element) => this.#with(all, element), []));
  }

  entries(): Element[] {
    const { storage, size } = this.#state;
    const said = elementsOf(this.#state, this.#decisions);
    if (!isArray(storage) || storage === "devmap") return said;
    return Array.from({ length: size ?? 0 }, (_, i): Element => {
      const found = said.find(({ key: [{ first }] }) => first === i);
      return { key: [{ first: i, last: i }], value: found?.value ?? 0 };
    });
  }

  #with(elements: readonly SetElement[], { key, value }: Element): SetElement[] {
    const added: SetElement = { key, value: this.#stored(value) };
    const at = elements.findIndex((element) => sameKey(element.key, key));
    return at < 0 ? [...elements, added] : elements.with(at, added);
  }

  #stored(value: Value): SetElement["value"] {
    if (this.#state.value === null) return null;
    return this.#state.value === "verdict" ? this.#decisions[Number(value)] : value;
  }

  /** @throws RangeError when they cannot stand together; nothing has changed then */
  #become(elements: SetElement[]): void {
    const { name, key: fields, storage, size } = this.#state;
    if (!isArray(storage) && size !== null && elements.length > size)
      throw new RangeError(`${name} is full: it holds ${size} elements`);
    const ranges = fields.length === 1 && storage !== "lpm_trie" && elements.some(({ key }) => !key.every(isSingle));
    if (ranges && elements.some((a, i) => elements.slice(i + 1).some((b) => meet(a.key, b.key))))
      throw new RangeError(`${name}: two elements overlap`);
    this.#state.elements = elements;
  }
}
