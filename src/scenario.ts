/**
 * Scenarios and answers, in the form in which recordings of the kernel hold them: a network set up by shell commands, then
 * questions about it. Every key but the scenario's name is optional. Namespace "." is the root namespace.
 */
export interface Scenario {
  readonly name: string;
  /** Shell commands, run in order: iproute2, sysctl. */
  readonly setup?: readonly string[];
  readonly netns?: readonly string[];
  readonly queries?: readonly Query[];
  readonly frames?: readonly Frame[];
  /** Devices of the root namespace to listen on. */
  readonly ports?: readonly string[];
  readonly pings?: readonly string[];
  /** Namespaces whose netfilter hooks are recorded. */
  readonly hooks_in?: readonly string[];
  /** Seconds to listen after each frame; a fraction of one if not given. */
  readonly wait?: number;
  /** Namespace to nftables rule set. */
  readonly nft?: Readonly<Record<string, string>>;
  /** The kernel's answers. */
  readonly expect?: Answer;
}

/** RTM_GETROUTE. */
export interface Query {
  readonly dst: string;
  readonly src?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly mark?: number;
  readonly tos?: number;
  readonly proto?: number;
  readonly sport?: number;
  readonly dport?: number;
  readonly uid?: number;
  readonly fibmatch?: boolean;
}

/** An Ethernet frame sent out of `port`, a device of the root namespace. */
export interface Frame {
  readonly port: string;
  readonly hex: string;
}

export interface Answer {
  readonly name?: string;
  readonly answers?: readonly RouteAnswer[];
  readonly outputs?: readonly FrameAnswer[];
  readonly pings?: readonly PingAnswer[];
  /** [packets, bytes] of each counter, in rule order. */
  readonly counters?: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

/** Says why a question is not answered; an answer with it holds nothing else but the question. */
export interface Unsupported {
  readonly unsupported?: string;
}

export interface RouteAnswer extends Unsupported {
  readonly error?: string;
  readonly type?: string;
  readonly table?: number;
  readonly dev?: string;
  readonly gateway?: string;
  readonly prefsrc?: string;
  readonly dst?: string;
  readonly priority?: number;
  readonly nexthops?: readonly unknown[];
  /** Hops among which a multipath pick is free. */
  readonly any?: readonly { readonly dev: string; readonly gateway?: string }[];
}

export interface FrameAnswer extends Unsupported {
  /** When the frame was sent: microseconds since the first one, by the clock that limits in time are kept by (jiffies). */
  readonly at?: number;
  /** The sending device refused the frame: errno name. */
  readonly refused?: string;
  readonly frames?: readonly Frame[];
  readonly hooks?: readonly HookAnswer[];
}

export interface PingAnswer extends Unsupported {
  readonly cmd: string;
  /** Exit status. */
  readonly rc?: number;
  readonly out?: string;
  readonly err?: string;
  readonly hooks?: readonly HookAnswer[];
}

/** A netfilter hook that a packet passed. */
export interface HookAnswer {
  readonly ns: string;
  readonly hook: string;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly saddr: string;
  readonly daddr: string;
  readonly proto: string | null;
  readonly ttl?: number;
  readonly icmp_type?: number;
}

/** What keeps parsed JSON from being a list of scenarios, as `[3].setup: ...`; null: nothing. */
export function scenarioFault(value: unknown): string | null {
  if (!Array.isArray(value)) return "expected a list of scenarios";
  for (const [i, scenario] of value.entries()) {
    if (!isRecord(scenario)) return `[${i}]: expected a scenario, an object`;
    if (typeof scenario.name !== "string") return `[${i}].name: expected a string`;
    for (const [key, holds] of Object.entries(listsOfScenario)) {
      const list = scenario[key];
      if (list !== undefined && !(Array.isArray(list) && list.every(holds)))
        return `[${i}].${key}: expected a list of ${listWords[key]}`;
    }
    if (scenario.expect !== undefined && !isRecord(scenario.expect)) return `[${i}].expect: expected an object`;
  }
  return null;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isString = (value: unknown): boolean => typeof value === "string";
const listsOfScenario: Readonly<Record<string, (value: unknown) => boolean>> = {
  setup: isString,
  netns: isString,
  ports: isString,
  pings: isString,
  hooks_in: isString,
  queries: (q) => isRecord(q) && isString(q.dst),
  frames: (f) => isRecord(f) && isString(f.port) && isString(f.hex),
};
const listWords: Readonly<Record<string, string>> = {
  setup: "commands",
  netns: "namespaces",
  ports: "devices",
  pings: "commands",
  hooks_in: "namespaces",
  queries: "look-ups with a `dst`",
  frames: "frames with `port` and `hex`",
};
