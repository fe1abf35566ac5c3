/**
 * The device by which sockets of this machine take part in a VRF: it has the VRF's name and its addresses. What they send comes out of
 * its descriptor as frames, what is for them is written to it. It goes when the descriptor is closed.
 *
 * A tap, not a tun: the VRF device of Linux is an Ethernet device without ARP too (vrf_setup), and a frame has room for a name (bpf.ts).
 */
import { ifreq } from "./devices.ts";
import { check, Errno, ForwardError, type Native, NativeBuffer, SystemError } from "./native.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_TUN_EXCL = 0x8000;
/** ifr_flags of struct ifreq. */
const IFREQ_FLAGS = 16;
/** The largest packet that the kernel's stack makes of an MTU of 65,535, and more. */
const FRAME_BYTES = 65536 + 64;

export class Tap {
  readonly name: string;
  readonly fd: number;
  readonly #native: Native;
  readonly #in: NativeBuffer;
  readonly #out: NativeBuffer;

  /**
   * @param name of the device; one with %d gets a number
   * @throws ForwardError when there is such a device, or no /dev/net/tun
   */
  constructor(native: Native, name: string) {
    this.#native = native;
    this.#in = new NativeBuffer(native, FRAME_BYTES);
    this.#out = new NativeBuffer(native, FRAME_BYTES);
    this.fd = check(native, native.open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
    try {
      const request = ifreq(native, name);
      request.view.setUint16(IFREQ_FLAGS, IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL, true);
      check(native, native.ioctl(this.fd, TUNSETIFF, request.address), `tap device ${name}`);
      this.name = new TextDecoder().decode(request.bytes.subarray(0, request.bytes.indexOf(0)));
    } catch (error) {
      native.close(this.fd);
      if (error instanceof SystemError && [Errno.EBUSY, Errno.EEXIST, Errno.EINVAL].includes(error.errno as 16))
        throw new ForwardError(
          `there is a device ${name} on this machine already: the VRF's name is needed for its sockets`,
        );
      throw error;
    }
  }

  /** @returns a frame, valid until the next; null: none waits */
  read(): Uint8Array | null {
    const length = this.#native.read(this.fd, this.#in.address, FRAME_BYTES);
    return length <= 0 ? null : this.#in.bytes.subarray(0, length);
  }

  /** @returns whether the kernel took it */
  write(frame: Uint8Array): boolean {
    if (frame.length > FRAME_BYTES) return false;
    this.#out.bytes.set(frame);
    return this.#native.write(this.fd, this.#out.address, frame.length) === frame.length;
  }

  close(): void {
    this.#native.close(this.fd);
  }
}
