/**
 * `ifconfig`, the older way to give a device its address: net-tools and devinet_ioctl.
 *
 *   ifconfig DEV { ADDR[/LEN] [netmask M] | inet ADDR… | up | down | mtu N | hw ether MAC | [inet6] add|del A/LEN | … }
 *
 * An address given alone replaces the device's first one (SIOCSIFADDR) and brings the device up; without a length the
 * netmask is the one of the address's class.
 */
import type { AddressProperty, Name, Spanned } from "../../dsl/ast.ts";
import { familyOf, type Prefix } from "../../runtime/net/ip.ts";
import { addAddress, deleteAddress, findAddress, setUp } from "./devices.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import type { Device } from "./state.ts";
import { macWord, maskLength, numberWord, parseIp, prefixWord, Refused, Unsupported, Words } from "./words.ts";

export function runIfconfig(run: Run, args: readonly Word[]): void {
  const words = new Words(args.filter((word) => !["-v", "-a", "-s"].includes(word.text)));
  if (words.isDone) return;
  const name = words.next();
  if (words.isDone) return;
  const fail = () => new Refused(`${name.text}: ERROR while getting interface flags: No such device`, name.span);
  // `eth0:1` is a further address of eth0 under a label.
  const [base, alias] = name.text.split(":");
  const device = run.touch(run.device({ text: base, span: name.span }, fail));
  let address: Spanned<Prefix> | null = null;
  while (!words.isDone) {
    const word = words.next();
    switch (word.text) {
      case "up":
      case "down":
        setUp(device, word.text === "up");
        break;
      case "netmask":
        address = withNetmask(address, words.next());
        break;
      case "mtu":
        device.settings.set("mtu", { kind: "mtu", span: run.span, mtu: numberWord(words.next(), "invalid mtu") });
        break;
      case "hw":
        words.take("ether");
        device.settings.set("lladdr", { kind: "lladdr", span: run.span, mac: macWord(words.next()) });
        break;
      case "inet":
      case "inet6":
        break;
      case "add":
        addOne(run, device, prefixOf(words.next()));
        break;
      case "del":
        removeOne(device, prefixOf(words.next()));
        break;
      case "broadcast":
      case "txqueuelen":
      case "metric":
        run.leaveOut(word, words.next());
        break;
      case "promisc":
      case "-promisc":
      case "allmulti":
      case "-allmulti":
      case "multicast":
        run.leaveOut(word);
        break;
      default:
        if (parseIp(word.text.split("/")[0]) === null)
          throw new Unsupported(`\`${word.text}\` of \`ifconfig\``, word.span);
        address = prefixOf(word);
    }
  }
  if (address) replaceAddress(run, device, address, alias !== undefined);
}

function withNetmask(address: Spanned<Prefix> | null, word: Word): Spanned<Prefix> {
  const length = maskLength(word.text);
  if (length === null) throw new Refused(`${word.text}: Unknown host`, word.span);
  if (address === null) throw new Unsupported("`netmask` without an address", word.span);
  return { ...address, value: { ...address.value, length } };
}

function prefixOf(word: Word): Spanned<Prefix> {
  const { value, span } = prefixWord(word);
  if (value === null) throw new Refused(`${word.text}: Unknown host`, span);
  if (word.text.includes("/") || familyOf(value.address) === 6) return { value, span };
  return { value: { address: value.address, length: classLength(Number(value.address)) }, span };
}

/** inet_abc_len: 8, 16 and 24 bits for the classes A, B and C, and none for multicast. */
const classLength = (address: number): number =>
  address === 0 ? 0 : address < 0x80000000 ? 8 : address < 0xc0000000 ? 16 : address < 0xe0000000 ? 24 : 0;

function nodeOf(run: Run, address: Spanned<Prefix>): AddressProperty {
  const scope: Name | null =
    typeof address.value.address === "number" && address.value.address >>> 24 === 127
      ? { value: "host", span: address.span }
      : null;
  return { kind: "address", span: run.span, address, ...(scope ? { scope } : {}) };
}

function addOne(run: Run, device: Device, address: Spanned<Prefix>): void {
  run.touch(addAddress(device, nodeOf(run, address)));
}

function removeOne(device: Device, { value, span }: Spanned<Prefix>): void {
  const address = findAddress(device, value, true);
  if (address === undefined) throw new Refused("SIOCDIFADDR: Cannot assign requested address", span);
  deleteAddress(address);
}

/** SIOCSIFADDR: the first address goes, unless it is the same; 0.0.0.0 only takes it away. */
function replaceAddress(run: Run, device: Device, address: Spanned<Prefix>, isAlias: boolean): void {
  const old = isAlias ? undefined : device.addresses.find((other) => other.family === familyOf(address.value.address));
  if (old) deleteAddress(old);
  if (address.value.address !== 0) addOne(run, device, address);
  setUp(device, true);
}
