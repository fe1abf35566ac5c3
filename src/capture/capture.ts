/** Captures of either format; what they have in common: format.ts. */
import type { Capture } from "./format.ts";
import { readPcap } from "./pcap.ts";
import { readPcapng } from "./pcapng.ts";

/** @returns null: it is neither a pcap nor a pcapng file */
export function readCapture(bytes: Uint8Array): Capture | null {
  return readPcap(bytes) ?? readPcapng(bytes);
}
