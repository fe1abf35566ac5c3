/**
 * What `nft -j list ruleset` leaves out of a rule set, from the rest of it: how wide the integers of a set are which was declared by
 * `typeof ip length`, and of which JSON says `"type": "integer"`. The rules that ask the set say it.
 */
import { DEPTH_MAX, isObject, type Json, type JsonObject } from "./json-terms.ts";

/** The fields that a set is asked with, and that a map's value is given to. */
export interface SetUse {
  key?: Json;
  value?: Json;
}

const placeOf = ({ family, table }: JsonObject, name: Json): string => JSON.stringify([family, table, name]);

export class SetUses {
  private readonly uses = new Map<string, SetUse>();

  constructor(entries: readonly Json[]) {
    for (const entry of entries) {
      const command = isObject(entry) ? (entry.add ?? entry.insert ?? entry) : entry;
      const rule = isObject(command) ? command.rule : undefined;
      if (isObject(rule)) this.read(rule, rule.expr);
    }
  }

  of(set: JsonObject): SetUse {
    return this.uses.get(placeOf(set, set.name)) ?? {};
  }

  private read(rule: JsonObject, value: Json | undefined, depth = 0): void {
    if (value === undefined || typeof value !== "object" || value === null || depth > DEPTH_MAX) return;
    if (isObject(value)) this.readUse(rule, value);
    for (const inner of Object.values(value)) this.read(rule, inner as Json, depth + 1);
  }

  private readUse(rule: JsonObject, { left, right, key, data, value }: JsonObject): void {
    if (left !== undefined) this.note(rule, right, { key: left });
    if (key !== undefined) this.note(rule, data, { key });
    if (key !== undefined && isObject(value) && isObject(value.map)) this.note(rule, value.map.data, { value: key });
  }

  private note(rule: JsonObject, set: Json | undefined, use: SetUse): void {
    if (typeof set !== "string" || !set.startsWith("@")) return;
    const place = placeOf(rule, set.slice(1));
    this.uses.set(place, { ...use, ...this.uses.get(place) });
  }
}
