/**
 * Kernel settings: `sysctl -w KEY=VALUE` and `echo VALUE > /proc/sys/…`. They are kept in the order of the last write to
 * each, which is the order that vrfc gives them effect in.
 *
 * One thing needs care: `conf.default` counts in Linux for devices created later, in vrfc for all devices of the text.
 * So a device that was there before keeps what it had by a setting of its own.
 */
import type { Span } from "../../dsl/span.ts";
import { disableIpv6 } from "./devices.ts";
import type { Run } from "./run.ts";
import type { Word } from "./shell.ts";
import { type Device, SysctlEntry } from "./state.ts";
import { requireUnsharedTables } from "./strict-mode.ts";
import { Refused, Unsupported } from "./words.ts";

/** Settings under conf.DEV that count in vrfc, and what a device has before anything is written. */
export const CONF_DEFAULTS = new Map(
  Object.entries({
    forwarding: "0",
    rp_filter: "0",
    accept_local: "0",
    route_localnet: "0",
    bc_forwarding: "0",
    send_redirects: "1",
    ignore_routes_with_linkdown: "0",
    drop_unicast_in_l2_multicast: "0",
    disable_ipv6: "0",
  }),
);

/** Flags without an argument. */
const FLAGS = /^-[wqnebNaAX]+$|^--(write|quiet|ignore|all|names|values|binary)$/;

/** `-p FILE …` reads settings from files, by default from this one. */
const LOAD = /^(-p|-f|--load)$/;
const SYSCTL_CONF = "/etc/sysctl.conf";

/** `sysctl [-w] [-q] KEY=VALUE …`, `sysctl -p [FILE …]`; reading changes nothing. */
export function runSysctl(run: Run, args: readonly Word[]): void {
  const load = args.find((word) => LOAD.test(word.text));
  if (load) {
    const files = args.filter((word) => !word.text.startsWith("-"));
    for (const file of files.length > 0 ? files : [{ text: SYSCTL_CONF, span: load.span }]) loadSettings(run, file);
    return;
  }
  for (const word of args) {
    if (FLAGS.test(word.text)) continue;
    if (word.text.startsWith("-")) throw new Unsupported(`\`sysctl ${word.text}\``, word.span);
    const equals = word.text.indexOf("=");
    if (equals >= 0)
      setSysctl(run, normalizeKey(word.text.slice(0, equals).trim()), word.text.slice(equals + 1).trim(), word.span);
  }
}

/** sysctl.conf(5): `KEY = VALUE` lines, a `-` before those that may fail, comments behind `#` and `;`. */
function loadSettings(run: Run, file: Word): void {
  const text = run.setting.readFile(file.text);
  if (text === undefined) throw new Unsupported(`the file \`${file.text}\` is not at hand`, file.span);
  for (const line of text.split("\n")) {
    const [, mayFail, key, value] = /^\s*(-?)([^#;=\s][^=]*)=(.*)$/.exec(line) ?? [];
    if (key === undefined) continue;
    try {
      setSysctl(run, normalizeKey(key.trim()), value.trim(), file.span);
    } catch (error) {
      if (mayFail === "" || !(error instanceof Refused)) throw error;
    }
  }
}

/** `/proc/sys/net/ipv4/ip_forward` is net.ipv4.ip_forward; null when it is another file. */
export function keyOfFile(path: string): string | null {
  const inside = /^\/proc\/sys\/(.+)$/.exec(path)?.[1];
  return inside === undefined ? null : inside.replaceAll(".", "\u0000").replaceAll("/", ".").replaceAll("\u0000", "/");
}

/** Written with slashes, the dots stand for themselves: `net/ipv4/conf/eth0.10/rp_filter` has the device eth0.10. */
function normalizeKey(key: string): string {
  const [slash, dot] = [key.indexOf("/"), key.indexOf(".")];
  if (slash < 0 || (dot >= 0 && dot < slash)) return key;
  return key.replace(/[./]/g, (char) => (char === "/" ? "." : "/"));
}

export function setSysctl(run: Run, key: string, value: string, span: Span): void {
  const { ns } = run;
  const conf = /^(net\.ipv[46]\.conf)\.(.+)\.([^.]+)$/.exec(key);
  const scope = conf?.[2].replaceAll("/", ".");
  const device = scope === undefined || scope === "all" || scope === "default" ? null : ns.device(scope);
  if (device === undefined) {
    if (ns.foreign.has(scope ?? "")) throw new Unsupported(`\`${scope}\` is not in vrfc`, span);
    throw new Refused(
      `sysctl: cannot stat /proc/sys/${key.replace(/[./]/g, (c) => (c === "." ? "/" : "."))}: No such file or directory`,
      span,
    );
  }
  requireUnsharedTables(ns, key, value, span);
  if (conf && scope === "default") keepOwnSettings(run, conf[1], conf[3], span);
  const through = writtenThrough(key);
  if (through) {
    const same = ns.sysctls.findLast((entry) => writtenThrough(entry.key.value)?.join() === through.join());
    if (same?.setting.value === value) return void run.touch(same);
    ns.sysctls = ns.sysctls.filter((entry) => !isOverwritten(entry.key.value, through));
  }
  run.touch(enter(run, key, value, span, device));
  if (conf?.[1] !== "net.ipv6.conf" || conf[3] !== "disable_ipv6" || Number(value) === 0) return;
  for (const one of scope === "all" ? ns.devices : device === null ? [] : [device]) disableIpv6(one);
}

function enter(run: Run, key: string, value: string, span: Span, device: Device | null): SysctlEntry {
  const { ns } = run;
  const entry = new SysctlEntry({ value: key, span }, { value, span }, device);
  const earlier = ns.sysctls.find((other) => other.key.value === key);
  if (earlier) entry.inherit(earlier);
  ns.sysctls = [...ns.sysctls.filter((other) => other !== earlier), entry];
  return entry;
}

/** Devices that exist do not follow a change of `default`. */
function keepOwnSettings(run: Run, tree: string, setting: string, span: Span): void {
  const usual = CONF_DEFAULTS.get(setting);
  if (usual === undefined) return;
  const before = run.ns.sysctl(`${tree}.default.${setting}`) ?? usual;
  for (const device of run.ns.devices) {
    const key = `${tree}.${device.name.value}.${setting}`;
    if (device.kind === "loopback" || run.ns.sysctl(key) !== undefined) continue;
    enter(run, key, before, span, device).comments.push(
      `${device.name.value} was there before ${tree}.default.${setting} was set`,
    );
  }
}

/**
 * Settings of which a change of `all` changes `default` and every device, so that what those were told before is void
 * (inet_forward_change, addrconf_disable_change): the tree and the last word, or null for other keys.
 */
function writtenThrough(key: string): readonly [tree: string, setting: string] | null {
  if (key === "net.ipv4.ip_forward") return ["net.ipv4.conf", "forwarding"];
  const all = /^(net\.ipv[46]\.conf)\.all\.(forwarding|disable_ipv6)$/.exec(key);
  return all === null ? null : [all[1], all[2]];
}

function isOverwritten(key: string, [tree, setting]: readonly [string, string]): boolean {
  return (
    writtenThrough(key)?.join() === [tree, setting].join() ||
    (key.startsWith(`${tree}.`) && key.endsWith(`.${setting}`))
  );
}
