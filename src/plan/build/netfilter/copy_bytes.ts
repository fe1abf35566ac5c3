/** Bytes of a packet, from one place of the memory to another. */
import { add, load, local, type Proc, repeat, ret, type Step, set, store } from "../../ir.ts";
import { proc } from "../context.ts";

export const COPY_BYTES = "copy_bytes";

/** `copy_bytes(from, to, bytes)`: of a packet. */
export function copyBytesProc(): Proc {
  const [source, target, bytes] = [local("from"), local("to"), local("bytes")];
  const body: Step[] = [
    repeat(
      bytes,
      "bytes",
      [
        store("image", 1, target, 0, load("image", 1, source)),
        set(source, add(source, 1)),
        set(target, add(target, 1)),
      ],
      "bytes",
    ),
    ret(),
  ];
  return proc(COPY_BYTES, { comment: "skb_clone, as far as chains write", params: [source, target, bytes] }, body);
}
