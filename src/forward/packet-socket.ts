/**
 * AF_PACKET sockets (packet(7)): frames of one device, by batches. recvmmsg puts each frame at its place in linear memory, and sendmmsg
 * takes it from there: between the kernel's buffers and the program there is no other copy.
 *
 * Before each frame the kernel says what its sender left to the hardware (struct virtio_net_hdr): a checksum to be completed, segments
 * to be cut. On a veth pair there is no hardware, so it is done here (offload.ts).
 */
import { EtherType } from "../../runtime/net/ethernet.ts";
import { check, type Native, NativeBuffer } from "./native.ts";
import { VNET_HEADER_BYTES } from "./offload.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL = 3;
const MSG_DONTWAIT = 0x40;

const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;

const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_AUXDATA = 8;
const PACKET_VNET_HDR = 15;
const PACKET_FANOUT = 18;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_ALLMULTI = 2;
const PACKET_FANOUT_HASH = 0;

/** Bytes that wait in the kernel while the program is busy: about ten thousand small frames. */
const BUFFER_BYTES = 16 * 1024 * 1024;

/**
 * The frames of a device as it receives them, but for those that bear `ignoredMark` (bpf.ts). Closed by closing the descriptor.
 * @param shared one of several: each gets the flows of its own, both directions of a flow the same one (PACKET_FANOUT_HASH)
 * @throws SystemError
 */
export function openPacketSocket(native: Native, ifindex: number, ignoredMark: number, shared: boolean): number {
  // Protocol 0: nothing is received before all is set and the device is bound.
  const fd = check(native, native.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "AF_PACKET socket");
  const set = (level: number, option: number, value: NativeBuffer, what: string): void => {
    check(native, native.setsockopt(fd, level, option, value.address, value.bytes.length), what);
  };
  try {
    set(SOL_SOCKET, SO_RCVBUFFORCE, int(native, BUFFER_BYTES), "SO_RCVBUFFORCE");
    set(SOL_SOCKET, SO_SNDBUFFORCE, int(native, BUFFER_BYTES), "SO_SNDBUFFORCE");
    set(SOL_PACKET, PACKET_VNET_HDR, int(native, 1), "PACKET_VNET_HDR");
    set(SOL_PACKET, PACKET_AUXDATA, int(native, 1), "PACKET_AUXDATA");
    set(SOL_PACKET, PACKET_IGNORE_OUTGOING, int(native, 1), "PACKET_IGNORE_OUTGOING");
    set(SOL_PACKET, PACKET_QDISC_BYPASS, int(native, 1), "PACKET_QDISC_BYPASS");
    const attach = (filter: Filter): void => set(SOL_SOCKET, SO_ATTACH_FILTER, filter.program, "SO_ATTACH_FILTER");
    // Until it has its share it would get all.
    attach(classicFilter(native, shared ? NOTHING : unmarked(ignoredMark)));
    const address = linkLayerAddress(native, ifindex);
    check(native, native.bind(fd, address.address, address.bytes.length), "bind");
    if (shared) {
      set(SOL_PACKET, PACKET_FANOUT, int(native, (ifindex & 0xffff) | (PACKET_FANOUT_HASH << 16)), "PACKET_FANOUT");
      attach(classicFilter(native, unmarked(ignoredMark)));
    }
    set(SOL_PACKET, PACKET_ADD_MEMBERSHIP, allMulticast(native, ifindex), "PACKET_MR_ALLMULTI");
    return fd;
  } catch (error) {
    native.close(fd);
    throw error;
  }
}

function int(native: Native, value: number): NativeBuffer {
  const buffer = new NativeBuffer(native, 4);
  buffer.view.setUint32(0, value, true);
  return buffer;
}

/** struct sockaddr_ll: u16 family, u16 protocol (network order), s32 ifindex, ... */
function linkLayerAddress(native: Native, ifindex: number): NativeBuffer {
  const address = new NativeBuffer(native, 20);
  address.view.setUint16(0, AF_PACKET, true);
  address.view.setUint16(2, ETH_P_ALL);
  address.view.setInt32(4, ifindex, true);
  return address;
}

/** struct packet_mreq: s32 ifindex, u16 type, ... Solicited-node groups are too many to join one by one. */
function allMulticast(native: Native, ifindex: number): NativeBuffer {
  const request = new NativeBuffer(native, 16);
  request.view.setInt32(0, ifindex, true);
  request.view.setUint16(4, PACKET_MR_ALLMULTI, true);
  return request;
}

/** struct sock_filter. */
type Instructions = readonly (readonly [code: number, jt: number, jf: number, k: number])[];
const NOTHING: Instructions = [[0x06, 0, 0, 0]]; // ret 0

const SKF_AD_MARK = 0xfffff000 + 20;
/** Frames that bear the mark are not for this socket. */
const unmarked = (mark: number): Instructions => [
  [0x20, 0, 0, SKF_AD_MARK], // ld mark
  [0x15, 0, 1, mark], //        jeq mark
  [0x06, 0, 0, 0], //           ret 0
  [0x06, 0, 0, 0xffffffff], //  ret all
];

interface Filter {
  /** struct sock_fprog, and what it points at. */
  readonly program: NativeBuffer;
  readonly code: NativeBuffer;
}

function classicFilter(native: Native, instructions: Instructions): Filter {
  const code = new NativeBuffer(native, instructions.length * 8);
  instructions.forEach(([opcode, jt, jf, k], i) => {
    code.view.setUint16(i * 8, opcode, true);
    code.view.setUint8(i * 8 + 2, jt);
    code.view.setUint8(i * 8 + 3, jf);
    code.view.setUint32(i * 8 + 4, k, true);
  });
  const program = new NativeBuffer(native, 16);
  program.view.setUint16(0, instructions.length, true);
  program.setPointer(8, code.address);
  return { program, code };
}

/*
 * struct mmsghdr                              struct iovec              control: struct cmsghdr, struct tpacket_auxdata
 *   0  8  name, 8 4 length                      0  8  base                0  8  length, 8 4 level, 12 4 type
 *  16  8  iovecs, 24 8 their number             8  8  length             16  4  status, 20 4 length, 24 4 captured
 *  32  8  control, 40 8 its length                                       28  2  mac, 30 2 net, 32 2 VLAN tag, 34 2 its protocol
 *  48  4  flags
 *  56  4  bytes received or sent
 */
const MMSGHDR_BYTES = 64;
const MMSGHDR = { iovecs: 16, iovecCount: 24, control: 32, controlLength: 40, length: 56 } as const;
const IOVEC_BYTES = 16;
const CONTROL_BYTES = 40;
const AUXDATA = { status: 16, vlanTag: 32, vlanProtocol: 34 } as const;
const TP_STATUS_VLAN_VALID = 16;

/** The largest frame that a device hands over: GSO makes them of 64 KiB. */
export const LARGEST_FRAME = 65536 + 256;

/** Where a batch of frames is received: the header, room in linear memory, and what does not fit there. */
export class Receiver {
  readonly #native: Native;
  readonly capacity: number;
  readonly #messages: NativeBuffer;
  readonly #iovecs: NativeBuffer;
  readonly #headers: NativeBuffer;
  readonly #control: NativeBuffer;
  readonly #overflow: NativeBuffer;
  #room = 0;

  constructor(native: Native, capacity: number) {
    this.#native = native;
    this.capacity = capacity;
    this.#messages = new NativeBuffer(native, capacity * MMSGHDR_BYTES);
    this.#iovecs = new NativeBuffer(native, capacity * 3 * IOVEC_BYTES);
    this.#headers = new NativeBuffer(native, capacity * VNET_HEADER_BYTES);
    this.#control = new NativeBuffer(native, capacity * CONTROL_BYTES);
    this.#overflow = new NativeBuffer(native, capacity * LARGEST_FRAME);
    for (let i = 0; i < capacity; i++) {
      const message = i * MMSGHDR_BYTES;
      this.#messages.setPointer(message + MMSGHDR.iovecs, this.#iovecs.address + i * 3 * IOVEC_BYTES);
      this.#messages.view.setUint32(message + MMSGHDR.iovecCount, 3, true);
      this.#messages.setPointer(message + MMSGHDR.control, this.#control.address + i * CONTROL_BYTES);
      this.#messages.view.setUint32(message + MMSGHDR.controlLength, CONTROL_BYTES, true);
      this.#setIovec(i * 3, this.#headers.address + i * VNET_HEADER_BYTES, VNET_HEADER_BYTES);
      this.#setIovec(i * 3 + 2, this.#overflow.address + i * LARGEST_FRAME, LARGEST_FRAME);
    }
  }

  /** @param address of the room of frame 0; that of the next is `stride` bytes further @param room bytes for each */
  aim(address: number, stride: number, room: number): void {
    this.#room = room;
    for (let i = 0; i < this.capacity; i++) this.#setIovec(i * 3 + 1, address + i * stride, room);
  }

  #setIovec(index: number, address: number, length: number): void {
    this.#iovecs.setPointer(index * IOVEC_BYTES, address);
    this.#iovecs.view.setUint32(index * IOVEC_BYTES + 8, length, true);
  }

  /** @returns the number of frames, -1: an error */
  receive(fd: number): number {
    const count = this.#native.recvmmsg(fd, this.#messages.address, this.capacity, MSG_DONTWAIT, 0);
    return count;
  }

  /** Bytes of frame i. */
  length(i: number): number {
    return this.#messages.view.getUint32(i * MMSGHDR_BYTES + MMSGHDR.length, true) - VNET_HEADER_BYTES;
  }

  /** struct virtio_net_hdr of frame i; null: nothing was left to the hardware. */
  offload(i: number): DataView | null {
    const at = i * VNET_HEADER_BYTES;
    const { bytes, view } = this.#headers;
    if (bytes[at] === 0 && bytes[at + 1] === 0) return null;
    return new DataView(view.buffer, at, VNET_HEADER_BYTES);
  }

  /** The VLAN tag that the kernel took out of frame i, with its protocol in front; 0: none. */
  vlanTag(i: number): number {
    const at = i * CONTROL_BYTES;
    const { view } = this.#control;
    if ((view.getUint32(at + AUXDATA.status, true) & TP_STATUS_VLAN_VALID) === 0) return 0;
    const protocol = view.getUint16(at + AUXDATA.vlanProtocol, true) || EtherType.VLAN;
    return protocol * 2 ** 16 + view.getUint16(at + AUXDATA.vlanTag, true);
  }

  /** What of frame i did not fit its room. */
  overflow(i: number): Uint8Array {
    const start = i * LARGEST_FRAME;
    return this.#overflow.bytes.subarray(start, start + Math.max(0, this.length(i) - this.#room));
  }

  /** Makes ready for the next `receive`, which writes lengths where it reads them. */
  reset(count: number): void {
    for (let i = 0; i < count; i++)
      this.#messages.view.setUint32(i * MMSGHDR_BYTES + MMSGHDR.controlLength, CONTROL_BYTES, true);
  }
}

/** Frames to be sent by one device, until `flush`: their bytes stay where they are. */
export class Sender {
  readonly #native: Native;
  readonly #capacity: number;
  readonly #messages: NativeBuffer;
  readonly #iovecs: NativeBuffer;
  readonly #header: NativeBuffer;
  /** What `copy` keeps until it is sent. */
  #kept: NativeBuffer[] = [];
  #count = 0;
  #lost = 0;

  constructor(native: Native, capacity: number) {
    this.#native = native;
    this.#capacity = capacity;
    this.#messages = new NativeBuffer(native, capacity * MMSGHDR_BYTES);
    this.#iovecs = new NativeBuffer(native, capacity * 2 * IOVEC_BYTES);
    this.#header = new NativeBuffer(native, 16);
    for (let i = 0; i < capacity; i++) {
      this.#messages.setPointer(i * MMSGHDR_BYTES + MMSGHDR.iovecs, this.#iovecs.address + i * 2 * IOVEC_BYTES);
      this.#messages.view.setUint32(i * MMSGHDR_BYTES + MMSGHDR.iovecCount, 2, true);
      this.#iovecs.setPointer(i * 2 * IOVEC_BYTES, this.#header.address);
      this.#iovecs.view.setUint32(i * 2 * IOVEC_BYTES + 8, VNET_HEADER_BYTES, true);
    }
  }

  /** @param fd what it is flushed to when there is no more room */
  add(fd: number, address: number, length: number): void {
    if (this.#count === this.#capacity) this.flush(fd);
    const iovec = (this.#count * 2 + 1) * IOVEC_BYTES;
    this.#iovecs.setPointer(iovec, address);
    this.#iovecs.view.setUint32(iovec + 8, length, true);
    this.#count++;
  }

  /** A frame that does not stay where it is. */
  copy(fd: number, frame: Uint8Array): void {
    const kept = new NativeBuffer(this.#native, frame.length);
    kept.bytes.set(frame);
    this.add(fd, kept.address, frame.length);
    this.#kept.push(kept);
  }

  flush(fd: number): void {
    let sent = 0;
    while (sent < this.#count) {
      const address = this.#messages.address + sent * MMSGHDR_BYTES;
      const now = this.#native.sendmmsg(fd, address, this.#count - sent, MSG_DONTWAIT);
      // An error is the first frame's: it is lost, and the others are not.
      if (now <= 0) this.#lost++;
      sent += Math.max(1, now);
    }
    this.#count = 0;
    if (this.#kept.length > 0) this.#kept = [];
  }

  /** Frames that could not be sent, since this was asked last. */
  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }
}
