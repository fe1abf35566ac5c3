/**
 * The system calls of the forwarder: the C library by way of koffi, which is an optional dependency and is loaded only when a
 * forwarder starts. Pointers are numbers; what they point at is an ArrayBuffer that the caller keeps (V8 does not move those) or the
 * module's linear memory.
 */
import { endianness } from "node:os";

/** The forwarder cannot do what it is asked: the message says what and why. */
export class ForwardError extends Error {}

/** A system call that failed. */
export class SystemError extends ForwardError {
  readonly errno: number;
  constructor(what: string, errno: number) {
    super(`${what}: ${ERRORS[errno] ?? `errno ${errno}`}`);
    this.errno = errno;
  }
}

/** Of <errno.h>, as x86-64 and arm64 number them. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  ENXIO: 6,
  EAGAIN: 11,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMSGSIZE: 90,
  ENETDOWN: 100,
  ENOBUFS: 105,
} as const;

const ERRORS: Readonly<Record<number, string>> = {
  [Errno.EPERM]: "Operation not permitted (root, or the capabilities net_admin, net_raw and bpf, are needed)",
  [Errno.ENOENT]: "No such file or directory",
  [Errno.ENXIO]: "No such device or address",
  [Errno.EACCES]: "Permission denied",
  [Errno.EBUSY]: "Device or resource busy",
  [Errno.EEXIST]: "File exists",
  [Errno.ENODEV]: "No such device",
  [Errno.EINVAL]: "Invalid argument",
  [Errno.ENETDOWN]: "Network is down",
};

/** All return -1 where they fail, and then `errno()` says why. */
export interface Native {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: number, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: number, length: number): number;
  recvmmsg(fd: number, messages: number, count: number, flags: number, timeout: number): number;
  sendmmsg(fd: number, messages: number, count: number, flags: number): number;
  poll(fds: number, count: number, milliseconds: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  open(path: string, flags: number): number;
  read(fd: number, buffer: number, length: number): number;
  write(fd: number, buffer: number, length: number): number;
  eventfd(value: number, flags: number): number;
  close(fd: number): number;
  /** bpf(2). */
  bpf(command: number, attributes: number, size: number): number;
  errno(): number;
  /** Where these bytes lie. */
  addressOf(bytes: Uint8Array): number;
}

const DECLARATIONS = {
  socket: "int socket(int, int, int)",
  bind: "int bind(int, uintptr_t, unsigned int)",
  setsockopt: "int setsockopt(int, int, int, uintptr_t, unsigned int)",
  recvmmsg: "int recvmmsg(int, uintptr_t, unsigned int, int, uintptr_t)",
  sendmmsg: "int sendmmsg(int, uintptr_t, unsigned int, int)",
  poll: "int poll(uintptr_t, unsigned long, int)",
  ioctl: "int ioctl(int, unsigned long, uintptr_t)",
  open: "int open(const char *, int)",
  read: "long read(int, uintptr_t, size_t)",
  write: "long write(int, uintptr_t, size_t)",
  eventfd: "int eventfd(unsigned int, int)",
  close: "int close(int)",
} as const;

/** SYS_bpf. */
const BPF_CALL: Readonly<Partial<Record<NodeJS.Architecture, number>>> = { x64: 321, arm64: 280 };

/** @throws ForwardError where there is no koffi, or no Linux of a known kind */
export async function loadNative(): Promise<Native> {
  const bpfCall = BPF_CALL[process.arch];
  if (process.platform !== "linux" || bpfCall === undefined || endianness() !== "LE")
    throw new ForwardError(
      `real devices are reached on Linux, x64 or arm64; this is ${process.platform} ${process.arch}`,
    );
  const koffi = await loadKoffi();
  const libc = koffi.load(null);
  const calls = Object.fromEntries(Object.entries(DECLARATIONS).map(([name, text]) => [name, libc.func(text)]));
  const syscall = libc.func("long syscall(long, int, uintptr_t, unsigned int)");
  // What an address is, only a pointer tells: memmove returns the one that it was given.
  const memmove = libc.func("uintptr_t memmove(const void *, const void *, size_t)");
  return {
    ...(calls as unknown as Omit<Native, "bpf" | "errno" | "addressOf">),
    bpf: (command, attributes, size) => syscall(bpfCall, command, attributes, size),
    errno: () => koffi.errno(),
    addressOf: (bytes) => Number(memmove(bytes, bytes, 0)),
  };
}

async function loadKoffi(): Promise<Pick<typeof import("koffi"), "load" | "errno">> {
  try {
    return (await import("koffi")).default;
  } catch (error) {
    const reason = (error as Error).message.split("\n")[0];
    throw new ForwardError(
      `the package koffi, an optional dependency by which Node makes system calls, is not there (npm install koffi@3.3.4): ${reason}`,
    );
  }
}

/** Memory that system calls read and write: bytes with a known address. */
export class NativeBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly address: number;

  constructor(native: Native, length: number) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.address = native.addressOf(this.bytes);
  }

  /** @param offset a multiple of 8 */
  setPointer(offset: number, address: number): void {
    this.view.setUint32(offset, address % 2 ** 32, true);
    this.view.setUint32(offset + 4, Math.floor(address / 2 ** 32), true);
  }
}

/** @returns what the call returned @throws SystemError when that is -1 */
export function check(native: Native, result: number, what: string): number {
  if (result < 0) throw new SystemError(what, native.errno());
  return result;
}
