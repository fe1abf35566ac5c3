/**
 * What keeps the kernel's own stack off the devices that are forwarded between, and hands its sockets' packets over. Three programs
 * at tcx hooks (Linux 6.6), which the kernel takes off again when the process ends, however it ends.
 *
 *                     wire                                  sockets of this machine
 *                      |                                        |            |
 *      +---------------v-- slave (vethr1) ----------+     +-----v-- VRF (tap) ------+
 *      | taps: the forwarder's AF_PACKET socket     |     |  ingress: REDIRECT      |
 *      | ingress: ISOLATE   drop, but what bears    |<----+    a frame that names a |
 *      |          the mark MARK: on to the sockets  |     |    device comes in there|
 *      | egress:  HAND_OVER   out of the VRF's tap, |---->|  read by the forwarder  |
 *      |          as sent by this device            |     |                         |
 *      +--------------------------------------------+     +-------------------------+
 *
 * A frame names a device by its source address, which means nothing else on a tap: 02:76 and the ifindex, little-endian. The
 * forwarder's own frames pass no egress hook (PACKET_QDISC_BYPASS).
 */
import { check, Errno, ForwardError, type Native, NativeBuffer, SystemError } from "./native.ts";

/** skb->mark of what the forwarder lets in at a slave; arbitrary. */
export const MARK = 0x76726663;
/** First two bytes of a source address that names a device. */
export const NAMING = [0x02, 0x76] as const;

const BPF_PROG_LOAD = 5;
const BPF_LINK_CREATE = 28;
const BPF_PROG_TYPE_SCHED_CLS = 3;
const TcxHook = { INGRESS: 46, EGRESS: 47 } as const;

const TCX_NEXT = -1;
const TCX_DROP = 2;
const BPF_F_INGRESS = 1;
/** struct __sk_buff. */
const SKB_MARK = 8;
/** Source address in an Ethernet header. */
const ETH_SOURCE = 6;

const Helper = { skb_store_bytes: 9, redirect: 23, skb_load_bytes: 26 } as const;

/** struct bpf_insn: u8 opcode, u8 registers (destination low), s16 offset, s32 immediate. */
type Instruction = readonly [opcode: number, registers: number, offset: number, immediate: number];
const regs = (dst: number, src = 0): number => (src << 4) | dst;
const movImm = (dst: number, value: number): Instruction => [0xb7, regs(dst), 0, value];
const mov = (dst: number, src: number): Instruction => [0xbf, regs(dst, src), 0, 0];
const addImm = (dst: number, value: number): Instruction => [0x07, regs(dst), 0, value];
const load = (size: "w" | "h", dst: number, src: number, offset: number): Instruction => [
  size === "w" ? 0x61 : 0x69,
  regs(dst, src),
  offset,
  0,
];
const store = (size: "w" | "h", dst: number, src: number, offset: number): Instruction => [
  size === "w" ? 0x63 : 0x6b,
  regs(dst, src),
  offset,
  0,
];
/** Jumps over `skip` instructions. */
const unless = (dst: number, value: number, skip: number): Instruction => [0x55, regs(dst), skip, value];
const when = (dst: number, value: number, skip: number): Instruction => [0x15, regs(dst), skip, value];
const call = (helper: number): Instruction => [0x85, 0, 0, helper];
const exit: Instruction = [0x95, 0, 0, 0];

/** Six bytes on the stack, so that the four of the ifindex are aligned. */
const ADDRESS_AT = -10;
const IFINDEX_AT = -8;
const NAMING_WORD = NAMING[0] | (NAMING[1] << 8);

const isolate: readonly Instruction[] = [
  load("w", 2, 1, SKB_MARK),
  when(2, MARK, 2),
  movImm(0, TCX_DROP),
  exit,
  movImm(2, 0),
  store("w", 1, 2, SKB_MARK),
  movImm(0, TCX_NEXT),
  exit,
];

const handOver = (ifindex: number, tap: number): readonly Instruction[] => [
  movImm(2, NAMING_WORD),
  store("h", 10, 2, ADDRESS_AT),
  movImm(2, ifindex),
  store("w", 10, 2, IFINDEX_AT),
  movImm(2, ETH_SOURCE),
  mov(3, 10),
  addImm(3, ADDRESS_AT),
  movImm(4, 6),
  movImm(5, 0),
  call(Helper.skb_store_bytes),
  movImm(1, tap),
  movImm(2, 0),
  call(Helper.redirect),
  exit,
];

const redirect: readonly Instruction[] = [
  mov(6, 1),
  movImm(2, ETH_SOURCE),
  mov(3, 10),
  addImm(3, ADDRESS_AT),
  movImm(4, 6),
  call(Helper.skb_load_bytes),
  unless(0, 0, 8),
  load("h", 1, 10, ADDRESS_AT),
  unless(1, NAMING_WORD, 6),
  movImm(1, MARK),
  store("w", 6, 1, SKB_MARK),
  load("w", 1, 10, IFINDEX_AT),
  movImm(2, BPF_F_INGRESS),
  call(Helper.redirect),
  exit,
  movImm(0, TCX_NEXT),
  exit,
];

/** @returns the links, which hold as long as they are open */
export const isolateDevice = (native: Native, ifindex: number, tap: number): number[] => [
  attach(native, isolate, ifindex, TcxHook.INGRESS),
  attach(native, handOver(ifindex, tap), ifindex, TcxHook.EGRESS),
];
export const redirectFromTap = (native: Native, ifindex: number): number[] => [
  attach(native, redirect, ifindex, TcxHook.INGRESS),
];

function attach(native: Native, program: readonly Instruction[], ifindex: number, hook: number): number {
  const loaded = loadProgram(native, program);
  try {
    const attributes = new NativeBuffer(native, 64);
    attributes.view.setUint32(0, loaded, true);
    attributes.view.setUint32(4, ifindex, true);
    attributes.view.setUint32(8, hook, true);
    return check(native, native.bpf(BPF_LINK_CREATE, attributes.address, attributes.bytes.length), "tcx");
  } catch (error) {
    if (error instanceof SystemError && error.errno === Errno.EINVAL)
      throw new ForwardError(
        "the kernel has no tcx hooks (Linux 6.6 or later has), by which its own stack is kept off the devices",
      );
    throw error;
  } finally {
    native.close(loaded);
  }
}

function loadProgram(native: Native, program: readonly Instruction[]): number {
  const code = new NativeBuffer(native, program.length * 8);
  program.forEach(([opcode, registers, offset, immediate], i) => {
    code.view.setUint8(i * 8, opcode);
    code.view.setUint8(i * 8 + 1, registers);
    code.view.setInt16(i * 8 + 2, offset, true);
    code.view.setInt32(i * 8 + 4, immediate, true);
  });
  const licence = new NativeBuffer(native, 8);
  licence.bytes.set(new TextEncoder().encode("MIT"));
  // union bpf_attr: u32 prog_type, u32 insn_cnt, u64 insns, u64 license, ...
  const attributes = new NativeBuffer(native, 128);
  attributes.view.setUint32(0, BPF_PROG_TYPE_SCHED_CLS, true);
  attributes.view.setUint32(4, program.length, true);
  attributes.setPointer(8, code.address);
  attributes.setPointer(16, licence.address);
  return check(native, native.bpf(BPF_PROG_LOAD, attributes.address, attributes.bytes.length), "load a BPF program");
}
