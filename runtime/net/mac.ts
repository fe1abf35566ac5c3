/** A 48-bit Ethernet address as a number, 0 .. 2^48-1 (exact in a double), first byte on the wire highest. */
export type Mac = number;

export const BROADCAST_MAC: Mac = 0xffffffffffff;
/** Group bit of the first byte: multicast and broadcast. */
export const isGroup = (mac: Mac): boolean => (Math.floor(mac / 2 ** 40) & 1) === 1;

export function readMac(bytes: Uint8Array, offset: number): Mac {
  let value = 0;
  for (let i = 0; i < 6; i++) value = value * 256 + bytes[offset + i];
  return value;
}

export function writeMac(bytes: Uint8Array, offset: number, mac: Mac): void {
  for (let i = 5; i >= 0; i--) {
    bytes[offset + i] = mac % 256;
    mac = Math.floor(mac / 256);
  }
}

/** `formatMac(0x0200000000ff)` is `02:00:00:00:00:ff`. */
export const formatMac = (mac: Mac): string =>
  mac
    .toString(16)
    .padStart(12, "0")
    .replace(/(..)(?!$)/g, "$1:");

/** Six pairs of hexadecimal digits with colons. @returns null for anything else */
export const parseMac = (text: string): Mac | null =>
  /^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(text) ? Number.parseInt(text.replaceAll(":", ""), 16) : null;
