/**
 * networksDigest: tells whether two texts have the same networks, so that a program of the one fits the packet path of the other. It
 * finds devices, tables and routes where that has them, and has the same policy rules in its code; chains may differ.
 */
import type { Model } from "../dsl/model.ts";
import type { Layout } from "./layout.ts";
import { rememberedOf } from "./remember.ts";

/** SHA-256, hexadecimal. */
export async function networksDigest({ kernel, nets }: Model, { networks }: Layout): Promise<string> {
  const plain = (key: string, value: unknown) =>
    key === "origin" ? undefined : typeof value === "bigint" ? `${value}` : value;
  const code = JSON.stringify({ kernel, rules: nets.map(({ rules }) => rules) }, plain);
  const digest = await imageDigest(networks, [], () => sha256(networks));
  return sha256(new TextEncoder().encode(code + digest));
}

/** Of an image that many modules may have: their rules are others. */
const imageDigest = rememberedOf<Uint8Array<ArrayBuffer>, Promise<string>>(1);

/** Hexadecimal. */
export async function sha256(contents: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", contents);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
