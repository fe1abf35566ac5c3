/**
 * Kernel settings of a dump: of the hundreds that `sysctl` prints, those that count in vrfc and are not as a kernel has
 * them when it starts. Each device is told for itself; `conf.default` says nothing about devices that are there.
 */
import type { NetNs } from "../state.ts";
import { CONF_DEFAULTS } from "../sysctl.ts";

/** Settings of a namespace, and what it starts with. */
const NET_DEFAULTS = new Map(
  Object.entries({
    "net.ipv4.tcp_l3mdev_accept": "0",
    "net.ipv4.udp_l3mdev_accept": "0",
    "net.ipv4.raw_l3mdev_accept": "1",
    "net.vrf.strict_mode": "0",
    "net.ipv4.icmp_echo_ignore_all": "0",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_errors_use_inbound_ifaddr": "0",
    "net.ipv4.ip_forward_use_pmtu": "0",
    "net.ipv4.fib_multipath_hash_policy": "0",
    "net.ipv4.ip_default_ttl": "64",
  }),
);

/** A change of `all` changes every device (inet_forward_change, addrconf_disable_change). */
const WRITTEN_THROUGH: readonly string[] = ["forwarding", "disable_ipv6"];

/** The settings to make, in order: `[KEY, VALUE]`. */
export function settingsOf(ns: NetNs, given: ReadonlyMap<string, string>): [key: string, value: string][] {
  const forwarding = given.get("net.ipv4.conf.all.forwarding") ?? given.get("net.ipv4.ip_forward") ?? "0";
  const sysctl = new Map([...given, ["net.ipv4.conf.all.forwarding", forwarding]]);
  const net = [...NET_DEFAULTS].flatMap(([key, usual]) => changed(sysctl, key, usual));
  const conf = (["net.ipv4.conf", "net.ipv6.conf"] as const).flatMap((tree) =>
    [...CONF_DEFAULTS].flatMap(([setting, usual]) => confOf(ns, sysctl, tree, setting, usual)),
  );
  // The same variable by the name that everybody knows.
  return [...net, ...conf].map(([key, value]) => [
    key === "net.ipv4.conf.all.forwarding" ? "net.ipv4.ip_forward" : key,
    value,
  ]);
}

function changed(sysctl: ReadonlyMap<string, string>, key: string, usual: string): [string, string][] {
  const value = sysctl.get(key);
  return value === undefined || value === usual ? [] : [[key, value]];
}

function confOf(
  ns: NetNs,
  sysctl: ReadonlyMap<string, string>,
  tree: string,
  setting: string,
  usual: string,
): [string, string][] {
  const all = changed(sysctl, `${tree}.all.${setting}`, usual);
  const inherited = WRITTEN_THROUGH.includes(setting) && all.length > 0 ? all[0][1] : usual;
  // A dot in a device's name is printed as a slash.
  const devices = ns.devices.flatMap(({ name }) =>
    changed(sysctl, `${tree}.${name.value.replaceAll(".", "/")}.${setting}`, inherited),
  );
  return [...all, ...devices];
}
