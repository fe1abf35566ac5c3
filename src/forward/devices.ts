/** What the machine says of its devices (netdevice(7)), in the network namespace of this process. */
import { ARPHRD_ETHER } from "../../runtime/net/arp.ts";
import { type Mac, readMac } from "../../runtime/net/mac.ts";
import { check, Errno, type Native, NativeBuffer, SystemError } from "./native.ts";

export interface RealDevice {
  readonly name: string;
  readonly ifindex: number;
  readonly mac: Mac;
  /** Bytes of an IP packet. */
  readonly mtu: number;
  readonly up: boolean;
  /** ARPHRD_ETHER. */
  readonly ethernet: boolean;
}

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCGIFFLAGS = 0x8913;
const SIOCGIFMTU = 0x8921;
const SIOCGIFHWADDR = 0x8927;
const SIOCGIFINDEX = 0x8933;
const IFF_UP = 1;

/*
 * struct ifreq
 *   0  16  name
 *  16  24  by request: u16 flags; u32 MTU or index; sockaddr { u16 family, address }
 */
const IFREQ_BYTES = 40;
const IFREQ_DATA = 16;

export const ifreq = (native: Native, name: string): NativeBuffer => {
  const request = new NativeBuffer(native, IFREQ_BYTES);
  request.bytes.set(new TextEncoder().encode(name).subarray(0, IFREQ_DATA - 1));
  return request;
};

/** @returns null: there is no such device */
export function realDevice(native: Native, name: string): RealDevice | null {
  return withSocket(native, (socket) => {
    const request = ifreq(native, name);
    const ask = (command: number): DataView => {
      check(native, native.ioctl(socket, command, request.address), name);
      return request.view;
    };
    try {
      const ifindex = ask(SIOCGIFINDEX).getUint32(IFREQ_DATA, true);
      const mtu = ask(SIOCGIFMTU).getUint32(IFREQ_DATA, true);
      const up = (ask(SIOCGIFFLAGS).getUint16(IFREQ_DATA, true) & IFF_UP) !== 0;
      const ethernet = ask(SIOCGIFHWADDR).getUint16(IFREQ_DATA, true) === ARPHRD_ETHER;
      return { name, ifindex, mtu, up, ethernet, mac: readMac(request.bytes, IFREQ_DATA + 2) };
    } catch (error) {
      if (error instanceof SystemError && error.errno === Errno.ENODEV) return null;
      throw error;
    }
  });
}

function withSocket<T>(native: Native, use: (socket: number) => T): T {
  const socket = check(native, native.socket(AF_INET, SOCK_DGRAM, 0), "socket");
  try {
    return use(socket);
  } finally {
    native.close(socket);
  }
}
