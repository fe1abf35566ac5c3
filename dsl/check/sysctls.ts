/**
 * Sysctls: `net.ipv4.conf.{all,default,DEV}.KEY` and `net.ipv6.conf...` combined into each device's settings as the
 * kernel combines them, and the per-namespace ones.
 *
 * Settings of `default` count for every device of the text but `lo`, wherever they stand (the devices inherit them when
 * they are created); all others take effect in text order. Writing `conf.all.forwarding` (or `net.ipv4.ip_forward`, the
 * same variable) sets `default` and every device, so a device's own setting must come after it (`inet_forward_change`).
 */
import type { Spanned, Sysctl } from "../ast.ts";
import type { DeviceConf, NetSysctl } from "../model.ts";
import type { Mutable, NetDraft } from "./draft.ts";
import { deviceByName } from "./draft.ts";
import type { NamespaceItems } from "./gather.ts";
import { didYouMean, parseU32 } from "./names.ts";
import type { Reporter } from "./report.ts";

/** What a device has when nobody says anything (kernel: `ipv4_devconf_dflt`, `ipv6_devconf_dflt`). */
export const defaultConf = (): Mutable<DeviceConf> => ({
  forwarding4: false,
  forwarding6: false,
  rpFilter: 0,
  acceptLocal: false,
  routeLocalnet: false,
  bcForwarding: false,
  sendRedirects: true,
  ignoreRoutesWithLinkdown: false,
  dropUnicastInL2Multicast: false,
  dropUnicastInL2Multicast6: false,
  disableIpv6: false,
});

/** The settings under `net.ipvN.conf` that count, and the value `all` and every device start with. */
const CONF_KEYS = {
  4: {
    forwarding: 0,
    rp_filter: 0,
    accept_local: 0,
    route_localnet: 0,
    bc_forwarding: 0,
    send_redirects: 1,
    ignore_routes_with_linkdown: 0,
    drop_unicast_in_l2_multicast: 0,
  },
  6: { forwarding: 0, disable_ipv6: 0, ignore_routes_with_linkdown: 0, drop_unicast_in_l2_multicast: 0 },
} as const;

/** Keys of the kernel that have no influence on what is modelled: known, and passed over. */
const INERT_CONF_KEYS = {
  4: (
    "mc_forwarding accept_redirects secure_redirects shared_media accept_source_route src_valid_mark proxy_arp medium_id " +
    "bootp_relay log_martians tag arp_filter arp_announce arp_ignore arp_accept arp_notify arp_evict_nocarrier proxy_arp_pvlan " +
    "force_igmp_version igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval drop_gratuitous_arp " +
    "disable_xfrm disable_policy promote_secondaries"
  ).split(" "),
  6: (
    "hop_limit mtu accept_ra accept_redirects autoconf dad_transmits router_solicitations router_solicitation_interval " +
    "router_solicitation_delay use_tempaddr temp_valid_lft temp_prefered_lft max_addresses accept_ra_defrtr accept_ra_pinfo " +
    "proxy_ndp accept_source_route optimistic_dad use_optimistic mc_forwarding accept_dad force_tllao ndisc_notify " +
    "drop_unsolicited_na keep_addr_on_down seg6_enabled enhanced_dad " +
    "addr_gen_mode disable_policy ndisc_tclass accept_untracked_na ndisc_evict_nocarrier"
  ).split(" "),
} as const;

/** A sysctl of the namespace: its field, least and most value, and how the number is kept. */
interface NetKey {
  readonly least: number;
  readonly most: number;
  set(sysctl: Mutable<NetSysctl>, value: number): void;
}
type FieldOf<T> = { [K in keyof NetSysctl]: NetSysctl[K] extends T ? K : never }[keyof NetSysctl];

const flag = (field: Exclude<FieldOf<boolean>, never>): NetKey => ({
  least: 0,
  most: 1,
  set: (sysctl, value) => {
    (sysctl as Record<typeof field, boolean>)[field] = value !== 0;
  },
});

const NET_KEYS: ReadonlyMap<string, NetKey> = new Map([
  ["net.ipv4.tcp_l3mdev_accept", flag("tcpL3mdevAccept")],
  ["net.ipv4.udp_l3mdev_accept", flag("udpL3mdevAccept")],
  ["net.ipv4.raw_l3mdev_accept", flag("rawL3mdevAccept")],
  ["net.vrf.strict_mode", flag("vrfStrictMode")],
  ["net.ipv4.icmp_echo_ignore_all", flag("icmpEchoIgnoreAll")],
  ["net.ipv4.icmp_echo_ignore_broadcasts", flag("icmpEchoIgnoreBroadcasts")],
  ["net.ipv4.icmp_errors_use_inbound_ifaddr", flag("icmpErrorsUseInboundIfaddr")],
  ["net.ipv4.ip_forward_use_pmtu", flag("ipForwardUsePmtu")],
  [
    "net.ipv4.fib_multipath_hash_policy",
    { least: 0, most: 3, set: (sysctl, value) => (sysctl.fibMultipathHashPolicy = value as 0 | 1 | 2 | 3) },
  ],
  [
    "net.ipv6.fib_multipath_hash_policy",
    { least: 0, most: 3, set: (sysctl, value) => (sysctl.fibMultipathHashPolicy6 = value as 0 | 1 | 2 | 3) },
  ],
  ["net.ipv4.ip_default_ttl", { least: 1, most: 255, set: (sysctl, value) => (sysctl.ipDefaultTtl = value) }],
]);

const INERT_NET_KEYS = (
  "net.ipv4.icmp_ratelimit net.ipv4.icmp_ratemask net.ipv4.icmp_msgs_per_sec net.ipv4.icmp_msgs_burst net.ipv4.ping_group_range " +
  "net.ipv4.ip_no_pmtu_disc net.ipv4.ip_nonlocal_bind net.ipv4.fwmark_reflect net.ipv4.tcp_fwmark_accept net.ipv4.nexthop_compat_mode " +
  "net.ipv4.fib_multipath_use_neigh net.ipv4.fib_multipath_hash_fields net.ipv4.ip_early_demux net.ipv4.tcp_syncookies " +
  "net.ipv4.ip_local_port_range net.ipv4.ip_unprivileged_port_start net.ipv6.bindv6only " +
  "net.ipv6.icmp.ratelimit net.ipv6.icmp.echo_ignore_all net.ipv6.route.max_size net.ipv4.igmp_max_memberships"
).split(" ");
/** Whole parts of the sysctl tree that are about something else. */
const INERT_PREFIX = /^(net\.(core|netfilter|bridge|unix)|net\.ipv[46]\.(neigh|route)|kernel|vm|fs|dev)\./;

/** `net.ipv4.conf.eth0.rp_filter` taken apart. */
interface ConfKey {
  readonly family: 4 | 6;
  /** `all`, `default` or a device. */
  readonly scope: string;
  readonly key: string;
}

/** Values under one `net.ipvN.conf`: of `all`, and of each device. */
interface ConfSpace {
  readonly all: Map<string, number>;
  readonly dflt: Map<string, number>;
  readonly device: Map<string, Map<string, number>>;
}

/** Sysctl names may be written with slashes (`net/ipv4/conf/eth0.10/rp_filter`), which then stand for the dots. */
function normalizeKey(key: string): string {
  const slash = key.indexOf("/");
  const dot = key.indexOf(".");
  if (slash < 0 || (dot >= 0 && dot < slash)) return key;
  return key.replace(/[./]/g, (c) => (c === "/" ? "." : "/"));
}

function confKeyOf(key: string): ConfKey | undefined {
  if (key === "net.ipv4.ip_forward") return { family: 4, scope: "all", key: "forwarding" };
  const match = /^net\.ipv([46])\.conf\.(.+)\.([^.]+)$/.exec(key);
  if (match === null) return undefined;
  return { family: Number(match[1]) as 4 | 6, scope: match[2].replaceAll("/", "."), key: match[3] };
}

export function applySysctls(net: NetDraft, namespace: NamespaceItems, report: Reporter): void {
  const sysctls = namespace.items.flatMap(({ item }) => (item.kind === "sysctl" ? [item] : []));
  const spaces = { 4: createSpace(net, 4), 6: createSpace(net, 6) };
  const parsed = sysctls.map((sysctl) => ({ sysctl, conf: confKeyOf(normalizeKey(sysctl.key.value)) }));
  for (const { sysctl, conf } of parsed)
    if (conf?.scope === "default") setConf(net, spaces[conf.family], conf, sysctl, report);
  for (const { sysctl, conf } of parsed) {
    if (conf === undefined) setNet(net, sysctl, report);
    else if (conf.scope !== "default") setConf(net, spaces[conf.family], conf, sysctl, report);
  }
  combine(net, spaces);
}

function createSpace(net: NetDraft, family: 4 | 6): ConfSpace {
  const usual = () => new Map<string, number>(Object.entries(CONF_KEYS[family]));
  return { all: usual(), dflt: usual(), device: new Map(net.devices.map((d) => [d.name, usual()])) };
}

/**
 * Settings of which writing `all` writes every device (`inet_forward_change`, `addrconf_disable_change`,
 * `addrconf_linkdown_change`); IPv4 combines the third with `all` instead.
 */
const WRITTEN_THROUGH = {
  4: ["forwarding"],
  6: ["forwarding", "disable_ipv6", "ignore_routes_with_linkdown"],
} as const;

function setConf(
  net: NetDraft,
  space: ConfSpace,
  { family, scope, key }: ConfKey,
  sysctl: Sysctl,
  report: Reporter,
): void {
  if (!knownConf(net, family, scope, key, sysctl, report)) return;
  const value = numberOf(sysctl.setting, 0, 0x7fffffff, report);
  if (value === undefined || !(key in CONF_KEYS[family])) return;
  const devices = net.devices.filter((d) => scope !== "default" || d.kind !== "loopback");
  if (scope === "all" && (WRITTEN_THROUGH[family] as readonly string[]).includes(key)) {
    if (space.all.get(key) !== value)
      for (const values of [space.dflt, ...space.device.values()]) values.set(key, value);
    space.all.set(key, value);
  } else if (scope === "all") space.all.set(key, value);
  else if (scope === "default") for (const device of devices) space.device.get(device.name)!.set(key, value);
  else space.device.get(scope)!.set(key, value);
}

function knownConf(
  net: NetDraft,
  family: 4 | 6,
  scope: string,
  key: string,
  sysctl: Sysctl,
  report: Reporter,
): boolean {
  const known = [...Object.keys(CONF_KEYS[family]), ...INERT_CONF_KEYS[family]];
  if (!known.includes(key)) {
    unknownKey(
      sysctl,
      known.map((k) => `net.ipv${family}.conf.${scope}.${k}`),
      report,
    );
    return false;
  }
  if (scope === "all" || scope === "default" || deviceByName(net, scope)) return true;
  const names = ["all", "default", ...net.devices.map((d) => d.name)];
  report.error("E0202", sysctl.key.span, `no device \`${scope}\` in namespace \`${net.name}\``, {
    label: "this setting belongs to no device",
    kernel: `sysctl: error: 'net.ipv${family}.conf.${scope}/${key}' is an unknown key`,
    ...didYouMean(
      { value: `net.ipv${family}.conf.${scope}.${key}`, span: sysctl.key.span },
      names.map((n) => `net.ipv${family}.conf.${n}.${key}`),
    ),
  });
  return false;
}

function setNet(net: NetDraft, sysctl: Sysctl, report: Reporter): void {
  const name = normalizeKey(sysctl.key.value);
  const key = NET_KEYS.get(name);
  if (key !== undefined) {
    const value = numberOf(sysctl.setting, key.least, key.most, report);
    if (value !== undefined) key.set(net.sysctl, value);
  } else if (!INERT_NET_KEYS.includes(name) && !INERT_PREFIX.test(name) && !/^net\.ipv4\.(tcp|udp)_/.test(name)) {
    unknownKey(sysctl, [...NET_KEYS.keys(), ...INERT_NET_KEYS, "net.ipv4.ip_forward"], report);
  }
}

function unknownKey(sysctl: Sysctl, known: readonly string[], report: Reporter): void {
  report.warning("W0301", sysctl.key.span, `unknown sysctl \`${sysctl.key.value}\`: it has no effect`, {
    label: "not a setting of this kernel",
    kernel: `sysctl: error: '${sysctl.key.value}' is an unknown key`,
    ...didYouMean(sysctl.key, known),
  });
}

function numberOf(setting: Spanned<string>, least: number, most: number, report: Reporter): number | undefined {
  const value = parseU32(setting.value);
  if (value !== undefined && value >= least && value <= most) return value;
  report.error("E0222", setting.span, `\`${setting.value}\` is not a value for this sysctl`, {
    label: most === 0x7fffffff ? "a number" : `${least} to ${most}`,
    kernel: "sysctl: write error: Invalid argument",
  });
  return undefined;
}

/** Kernel: `IN_DEV_MAXCONF`, `IN_DEV_ORCONF`, `IN_DEV_ANDCONF`, `IN_DEV_CONF_GET` of include/linux/inetdevice.h. */
function combine(net: NetDraft, spaces: { readonly 4: ConfSpace; readonly 6: ConfSpace }): void {
  for (const device of net.devices) {
    const own = (key: string) => spaces[4].device.get(device.name)!.get(key)!;
    const all = (key: string) => spaces[4].all.get(key)!;
    const own6 = (key: string) => spaces[6].device.get(device.name)!.get(key)! !== 0;
    const or = (key: string) => all(key) !== 0 || own(key) !== 0;
    device.conf = {
      forwarding4: own("forwarding") !== 0,
      forwarding6: own6("forwarding"),
      rpFilter: Math.min(2, Math.max(all("rp_filter"), own("rp_filter"))) as 0 | 1 | 2,
      acceptLocal: or("accept_local"),
      routeLocalnet: or("route_localnet"),
      bcForwarding: all("bc_forwarding") !== 0 && own("bc_forwarding") !== 0,
      sendRedirects: or("send_redirects"),
      ignoreRoutesWithLinkdown: or("ignore_routes_with_linkdown"),
      dropUnicastInL2Multicast: or("drop_unicast_in_l2_multicast"),
      dropUnicastInL2Multicast6: own6("drop_unicast_in_l2_multicast"),
      disableIpv6: own6("disable_ipv6"),
    };
    device.ignoreLinkdown6 = own6("ignore_routes_with_linkdown");
    device.ipv6 = !device.conf.disableIpv6;
  }
  net.sysctl.ipv6Forwarding = spaces[6].all.get("forwarding") !== 0;
}

/** `net.vrf.strict_mode = 1` allows each table to one VRF only (kernel: `vrf_map_register_dev`). */
export function checkStrictMode(net: NetDraft, report: Reporter): void {
  if (!net.sysctl.vrfStrictMode) return;
  const owners = new Map<number, string>();
  for (const vrf of net.devices.filter((d) => d.kind === "vrf" && d.table !== 0)) {
    const owner = owners.get(vrf.table);
    if (owner === undefined) owners.set(vrf.table, vrf.name);
    else {
      const first = deviceByName(net, owner)!.nameSpan;
      report.error(
        "E0223",
        vrf.nameSpan!,
        `\`${vrf.name}\` and \`${owner}\` share table ${vrf.table}, which strict mode forbids`,
        {
          label: `table ${vrf.table} again`,
          secondary: first ? [{ span: first, message: `\`${owner}\` has table ${vrf.table}` }] : [],
          kernel: "Error: Table is used by another VRF.",
        },
      );
    }
  }
}
