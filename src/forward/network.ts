/** From a checked model to what a forwarder runs by, with the questions that must be asked first. */
import { deviceNamed, type Model, type Net, type Route } from "../../dsl/model.ts";
import { allRoutes, routeCount } from "../../dsl/route-columns.ts";
import { formatIp, formatPrefix } from "../../runtime/net/ip.ts";
import { formatMac } from "../../runtime/net/mac.ts";
import { type BackEndOptions, compileModel } from "../compile.ts";
import { type RealDevice, realDevice } from "./devices.ts";
import type { Network } from "./forwarder.ts";
import { mirror } from "./mirror.ts";
import { ForwardError, type Native } from "./native.ts";

/** More routes are counted, but without their words. */
const MOST_ROUTE_NAMES = 10_000;

/** The devices that the machine has of those that a namespace names as its own. */
export function machineDevices(native: Native, names: readonly string[]): Map<string, RealDevice> {
  const found = names.map((name) => realDevice(native, name));
  return new Map(found.flatMap((device) => (device === null ? [] : [[device.name, device]])));
}

/**
 * @param present the machine's devices; those that are missing do not matter
 * @throws ForwardError when the network cannot be what the text says
 */
export async function networkOf(
  model: Model,
  net: Net,
  present: ReadonlyMap<string, RealDevice>,
  options: Pick<BackEndOptions, "level" | "threads">,
): Promise<Network> {
  for (const device of present.values()) refuse(net, device);
  const { artifact } = await compileModel(model, options);
  return {
    module: await WebAssembly.compile(artifact),
    net: net.index,
    settings: mirror(net),
    routeNames: routeCount(net) > MOST_ROUTE_NAMES ? [] : allRoutes(net).map((route) => routeName(net, route)),
  };
}

/** What the text says of a device and cannot be had. */
function refuse(net: Net, { name, mac, mtu, ethernet, up }: RealDevice): void {
  const said = deviceNamed(net, name);
  if (said === undefined || said.kind !== "veth") return;
  if (!ethernet) throw new ForwardError(`${name} is no Ethernet device`);
  if (said.mac !== mac)
    throw new ForwardError(
      `${name} has the address ${formatMac(mac)}, and the file says ${formatMac(said.mac)} (ip link set dev ${name} address ${formatMac(said.mac)}, or leave it out of the file)`,
    );
  if (said.mtu > mtu)
    throw new ForwardError(
      `${name} has an MTU of ${mtu} bytes, and the file says ${said.mtu} (ip link set dev ${name} mtu ${said.mtu})`,
    );
  if (said.up && !up) throw new ForwardError(`${name} is down (ip link set dev ${name} up)`);
}

/** The devices that a namespace wants to find on the machine: all but lo, VRFs and dummies. */
export const wantedDevices = (net: Net): string[] =>
  net.devices.filter(({ kind }) => kind === "veth").map(({ name }) => name);

/** @param demanding every device must be there @throws ForwardError */
export function requireDevices(net: Net, present: ReadonlyMap<string, RealDevice>, demanding: boolean): void {
  const wanted = wantedDevices(net);
  // A file that is just being written is empty for a moment: that is no network to go over to.
  if (wanted.length === 0) throw new ForwardError(`namespace ${net.name} has no interface`);
  const missing = demanding ? wanted.filter((name) => !present.has(name)) : [];
  if (missing.length > 0)
    throw new ForwardError(
      `no ${missing.length === 1 ? "device" : "devices"} ${missing.join(", ")} on this machine, in this network namespace`,
    );
}

function routeName(net: Net, { prefix, type, nexthops: [hop], table }: Route): string {
  const device = net.devices.find(({ ifindex }) => ifindex === hop?.device);
  const words = [
    type === "unicast" ? "" : type,
    formatPrefix(prefix),
    hop?.gateway == null ? "" : `via ${formatIp(hop.gateway)}`,
    device === undefined ? "" : `dev ${device.name}`,
    `table ${net.tableNames.get(table) ?? table}`,
  ];
  return words.filter((word) => word !== "").join(" ");
}
