/**
 * Captures of frames, as tcpdump and Wireshark write them, read without trust: a file may end anywhere, and lie about every length.
 *
 *   capture = { frame }, problem         the frames up to where it goes wrong, and what is wrong there; null: nothing is
 *   frame   = linkType, bytes            as captured: shorter than it was on the wire when the capture's snap length cut it
 */
export interface CapturedFrame {
  /** LINKTYPE_* (https://www.tcpdump.org/linktypes.html): what the bytes begin with. */
  readonly linkType: number;
  readonly bytes: Uint8Array;
}

export interface Capture {
  readonly format: "pcap" | "pcapng";
  readonly frames: readonly CapturedFrame[];
  readonly problem: string | null;
}

/** Bytes of a frame, at the most: MAXIMUM_SNAPLEN of libpcap. What says more is damaged. */
export const LONGEST_CAPTURED = 262_144;

/** Numbers of a file in the byte order that it turned out to have. */
export class Fields {
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, little: boolean) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#little = little;
  }

  u16(offset: number): number {
    return this.#view.getUint16(offset, this.#little);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, this.#little);
  }
}
