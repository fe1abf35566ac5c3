/** Names: which ones exist, what an unknown one was probably meant to be, and the numbers that stand behind them. */
import type { TableId } from "../../runtime/brand.ts";
import { RT_TABLE_DEFAULT, RT_TABLE_LOCAL, RT_TABLE_MAIN, tableId } from "../../runtime/brand.ts";
import { RT_PROTO_NAMES, RT_PROTOS } from "../../runtime/net/rt-protos.ts";
import type { Name } from "../ast.ts";
import { Scope } from "../model.ts";
import { suggest } from "../suggest.ts";
import { MAX_U32 } from "../values.ts";
import type { DeviceDraft, NetDraft } from "./draft.ts";
import { deviceByName } from "./draft.ts";
import type { Finding, Reporter } from "./report.ts";

/** Help that replaces an unknown name by the closest known one; empty when none is close. */
export function didYouMean(name: Name, known: Iterable<string>): Pick<Finding, "help"> {
  const best = suggest(name.value, known);
  return best === null
    ? {}
    : { help: [{ message: `did you mean \`${best}\`?`, edit: { span: name.span, text: best } }] };
}

/** The device of that name, or an error in the kernel's words. */
export function requireDevice(net: NetDraft, name: Name, report: Reporter): DeviceDraft | undefined {
  const device = deviceByName(net, name.value);
  if (device === undefined) {
    report.error("E0202", name.span, `no device \`${name.value}\` in namespace \`${net.name}\``, {
      label: "not defined",
      kernel: `Cannot find device "${name.value}"`,
      ...didYouMean(
        name,
        net.devices.map((d) => d.name),
      ),
    });
  }
  return device;
}

/** What Linux says where the name of a VRF device is expected: to a name of nothing, and to another kind of device. */
export interface VrfRefusal {
  unknown(name: string): string;
  other(name: string): string;
}
export const AS_MASTER: VrfRefusal = {
  unknown: (name) => `Error: argument "${name}" is wrong: Device does not exist`,
  other: () => "RTNETLINK answers: Operation not supported",
};
export const AS_VRF: VrfRefusal = {
  unknown: (name) => `Error: argument "${name}" is wrong: Invalid VRF`,
  other: (name) => `Error: argument "${name}" is wrong: Invalid VRF`,
};

/** The VRF device of that name; what exists but is no VRF is an error of its own. */
export function requireVrf(net: NetDraft, name: Name, kernel: VrfRefusal, report: Reporter): DeviceDraft | undefined {
  const device = deviceByName(net, name.value);
  if (device?.kind === "vrf") return device;
  if (device === undefined) {
    report.error("E0203", name.span, `no VRF \`${name.value}\` in namespace \`${net.name}\``, {
      label: "not defined",
      kernel: kernel.unknown(name.value),
      ...didYouMean(
        name,
        net.devices.filter((d) => d.kind === "vrf").map((d) => d.name),
      ),
    });
  } else {
    report.error("E0204", name.span, `\`${name.value}\` is a ${device.kind} device, not a VRF`, {
      label: "a VRF is needed here",
      kernel: kernel.other(name.value),
      secondary: device.nameSpan ? [{ span: device.nameSpan, message: `\`${name.value}\` is defined here` }] : [],
    });
  }
  return undefined;
}

/** rt_tables(5) as shipped, and the number space of `RTA_TABLE`. */
const STANDARD_TABLES: ReadonlyMap<string, TableId> = new Map([
  ["local", RT_TABLE_LOCAL],
  ["main", RT_TABLE_MAIN],
  ["default", RT_TABLE_DEFAULT],
]);

/** A decimal or `0x` number of 32 bits, as iproute2's get_u32 reads it. */
export function parseU32(text: string): number | undefined {
  if (!/^(0x[0-9a-fA-F]{1,8}|\d{1,10})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MAX_U32 ? value : undefined;
}

/** `main`, `local`, `default`, a number, or the name of a VRF (then its table). Undefined after an error. */
export function requireTable(net: NetDraft, name: Name, report: Reporter): TableId | undefined {
  const standard = STANDARD_TABLES.get(name.value);
  if (standard !== undefined) return standard;
  const device = deviceByName(net, name.value);
  if (device?.kind === "vrf") return device.table;
  const number = parseU32(name.value);
  if (number !== undefined && number > 0) return tableId(number);
  const vrfs = net.devices.filter((d) => d.kind === "vrf").map((d) => d.name);
  report.error(
    "E0205",
    name.span,
    number === 0 ? "table 0 does not exist: tables are 1 to 4294967295" : `no table \`${name.value}\``,
    {
      label: "a number, `main`, `local`, `default` or the name of a VRF",
      kernel: `Error: argument "${name.value}" is wrong: invalid table ID`,
      ...didYouMean(name, [...STANDARD_TABLES.keys(), ...vrfs]),
    },
  );
  return undefined;
}

/** rt_scopes(5) as shipped. */
const SCOPES: ReadonlyMap<string, Scope> = new Map([
  ["global", Scope.UNIVERSE],
  ["universe", Scope.UNIVERSE],
  ["site", Scope.SITE],
  ["link", Scope.LINK],
  ["host", Scope.HOST],
  ["nowhere", Scope.NOWHERE],
]);
const SCOPE_NUMBERS = new Set<number>(Object.values(Scope));

export function requireScope(name: Name, report: Reporter): Scope | undefined {
  const number = parseU32(name.value);
  if (number !== undefined && SCOPE_NUMBERS.has(number)) return number as Scope;
  const scope = SCOPES.get(name.value);
  if (scope === undefined) {
    report.error("E0206", name.span, `no scope \`${name.value}\``, {
      label: "`global`, `site`, `link`, `host` or `nowhere`",
      ...didYouMean(name, SCOPES.keys()),
    });
  }
  return scope;
}

/** A name of rt_protos(5), or a number to 255; undefined when it is neither. */
export function routingProtocol(text: string): number | undefined {
  const number = RT_PROTOS.get(text) ?? parseU32(text);
  return number !== undefined && number <= 255 ? number : undefined;
}

/** The protocol by its name where it has one, else its number as text; `otherwise` when none is given or it is wrong. */
export function protocolOf(name: Name | undefined, otherwise: string, report: Reporter): string {
  if (name === undefined) return otherwise;
  const number = routingProtocol(name.value);
  if (number !== undefined) return RT_PROTO_NAMES.get(number) ?? String(number);
  report.error("E0207", name.span, `no routing protocol \`${name.value}\``, {
    label: "a name of rt_protos(5) or a number to 255",
    kernel: `Error: argument "${name.value}" is wrong: "protocol" value is invalid`,
    ...didYouMean(name, RT_PROTOS.keys()),
  });
  return otherwise;
}

/** Labels that point at earlier definitions, for findings about things defined twice. */
export const definedAt = (span: { start: number; end: number } | undefined, message: string) =>
  span === undefined ? {} : { secondary: [{ span, message }] };
