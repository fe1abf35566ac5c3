/**
 * One command while it runs: where it acts, and what it leaves behind for the report and the comments. The commands
 * themselves are in ip-*.ts, ifconfig.ts, sysctl.ts and commands.ts.
 */
import type { Name } from "../../dsl/ast.ts";
import type { Label, Severity } from "../../dsl/diagnostic.ts";
import type { Span } from "../../dsl/span.ts";
import type { Family } from "../../runtime/net/ip.ts";
import type { ImportCode } from "./codes.ts";
import { addDevice, isDeviceName, requireDevice } from "./devices.ts";
import type { Word } from "./shell.ts";
import { Device, type NetNs, type Network, type Noted } from "./state.ts";
import { Refused } from "./words.ts";

/** A ping that a command asked for. */
export interface PingRequest {
  readonly ns: NetNs;
  readonly words: readonly Word[];
}

/** What the importer wants to know from outside a command. */
export interface Setting {
  readonly network: Network;
  /** Reads what `ip -batch FILE` names; undefined: there is no such file. */
  readonly readFile: (name: string) => string | undefined;
  /** True if some command of the script creates a device of this name: then using it earlier is a mistake. */
  readonly isCreated: (name: string) => boolean;
  /** Devices of the root namespace that no command creates are taken as the machine's own. */
  readonly assumeDevices: boolean;
}

/** Something to tell the user that does not stop the command. */
export interface Remark {
  readonly code: ImportCode;
  readonly severity: Severity;
  readonly message: string;
  readonly span: Span;
  readonly secondary: readonly Label[];
}

export class Run {
  readonly setting: Setting;
  readonly ns: NetNs;
  /** The whole command. */
  readonly span: Span;
  /** `-4`, `-6`. */
  readonly family: Family | null;
  /** Shared with the commands that this one runs (`ip netns exec`). */
  readonly results: {
    /** What the command made or changed; the script's comments go to the first. */
    readonly touched: Noted[];
    readonly leftOut: Word[];
    readonly pings: PingRequest[];
    readonly remarks: Remark[];
  };

  constructor(setting: Setting, ns: NetNs, span: Span, family: Family | null = null, results?: Run["results"]) {
    this.setting = setting;
    this.ns = ns;
    this.span = span;
    this.family = family;
    this.results = results ?? { touched: [], leftOut: [], pings: [], remarks: [] };
  }

  get network(): Network {
    return this.setting.network;
  }

  /** The same command inside another namespace, or for one family. */
  inside(ns: NetNs, family: Family | null = this.family): Run {
    return new Run(this.setting, ns, this.span, family, this.results);
  }

  touch<T extends Noted>(noted: T): T {
    this.results.touched.push(noted);
    return noted;
  }

  /** Words that Linux would heed and vrfc has no counterpart for; the rest of the command counts. */
  leaveOut(...words: readonly Word[]): void {
    this.results.leftOut.push(...words);
  }

  /** The command succeeds, but what it did does not show in the result. */
  keepOut(why: string, because?: Label): void {
    const secondary = because ? [because] : [];
    this.results.remarks.push({ code: "W0501", severity: "warning", message: why, span: this.span, secondary });
  }

  /** The device, in the wording of iproute2 when there is none. */
  device(word: Word, fail?: () => Refused): Device {
    const name: Name = { value: word.text, span: word.span };
    const { ns, setting } = this;
    const isKnown = ns.device(word.text) !== undefined || ns.foreign.has(word.text);
    if (isKnown || !setting.assumeDevices || !ns.isRoot || setting.isCreated(word.text) || !isDeviceName(word.text))
      return requireDevice(ns, name, fail);
    const device = new Device(ns, name, "machine");
    device.isUp = true;
    addDevice(device);
    device.comments.push(`${word.text} is not created by the script: taken as an interface that the machine has`);
    this.results.remarks.push({
      code: "W0504",
      severity: "warning",
      message: `\`${word.text}\` is not created here: taken as an interface that the machine has, and up`,
      span: word.span,
      secondary: [],
    });
    return device;
  }

  /** The table of a VRF. */
  vrfTable({ text, span }: Word): number {
    const vrf = this.ns.device(text);
    if (vrf?.kind === "vrf") return vrf.table.value;
    throw new Refused(`Error: argument "${text}" is wrong: Invalid VRF`, span);
  }
}
