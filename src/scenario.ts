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
  readonly sockets?: readonly Exchange[];
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

/** Servers that run meanwhile, and a client; all sockets are closed afterwards. */
export interface Exchange {
  /** They accept connections, or send datagrams back from the address and by the device that they came to (IP_PKTINFO). */
  readonly servers?: readonly SocketCall[];
  /** It connects, over UDP too, and asks for ICMP errors (IP_RECVERR); it waits for five seconds. */
  readonly client?: SocketCall;
}

export interface SocketCall {
  /** "." by default. */
  readonly ns?: string;
  readonly transport: "tcp" | "udp";
  /** What a server binds to, "*" for any of both families; where a client connects to. */
  readonly address: string;
  readonly port: number;
  /** SO_BINDTODEVICE. */
  readonly device?: string;
  /** A client's bind(). */
  readonly source?: string;
}

export interface Answer {
  readonly name?: string;
  readonly answers?: readonly RouteAnswer[];
  readonly outputs?: readonly FrameAnswer[];
  readonly pings?: readonly PingAnswer[];
  readonly sockets?: readonly ExchangeAnswer[];
  readonly counters?: Counters;
  /** When the counters were read, by the clock of `FrameAnswer.at`. */
  readonly counted_at?: number;
  /** Of a replay whose counters are not the recorded ones: what each of the kernel's own listener reports would have counted. */
  readonly reports?: readonly ReportEffect[];
}

/** Packets, bytes. */
export type CounterValue = readonly [number, number];
/** Of each namespace, in rule order. */
export type Counters = Readonly<Record<string, readonly CounterValue[]>>;

/** A multicast listener report that a kernel may have sent, and what it adds to the counters. */
export interface ReportEffect {
  /** Namespace and device that sends it. */
  readonly device: string;
  /** Groups that it names. */
  readonly records: number;
  readonly counted: Counters;
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

export interface ExchangeAnswer extends Unsupported {
  /** For each server, the name of the error with which bind() failed. */
  readonly servers?: readonly { readonly error?: string }[];
  readonly client?: ClientAnswer;
  /** What servers received: the client's address, and the device that the connection is bound to or the datagram came by. */
  readonly heard?: readonly { readonly ns: string; readonly from: string; readonly device: string | null }[];
}

export type ClientAnswer =
  /** TCP: the handshake is done; a TCP reset, or port unreachable. */
  | { readonly outcome: "connected" | "refused" }
  /** A datagram came back. */
  | { readonly outcome: "reply"; readonly from: string }
  | { readonly outcome: "icmp"; readonly from: string; readonly type: number; readonly code: number }
  /** A call failed: its name, the errno's. */
  | { readonly outcome: "error"; readonly call: string; readonly error: string }
  | { readonly outcome: "timeout" };

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
const isSocketCall = (value: unknown): boolean =>
  isRecord(value) &&
  (value.transport === "tcp" || value.transport === "udp") &&
  isString(value.address) &&
  Number.isInteger(value.port) &&
  ["ns", "device", "source"].every((key) => value[key] === undefined || isString(value[key]));
const isExchange = (value: unknown): boolean =>
  isRecord(value) &&
  (value.client === undefined || isSocketCall(value.client)) &&
  (value.servers === undefined || (Array.isArray(value.servers) && value.servers.every(isSocketCall)));
const listsOfScenario: Readonly<Record<string, (value: unknown) => boolean>> = {
  setup: isString,
  netns: isString,
  ports: isString,
  pings: isString,
  hooks_in: isString,
  queries: (q) => isRecord(q) && isString(q.dst),
  sockets: isExchange,
  frames: (f) => isRecord(f) && isString(f.port) && isString(f.hex),
};
const listWords: Readonly<Record<string, string>> = {
  setup: "commands",
  netns: "namespaces",
  ports: "devices",
  pings: "commands",
  hooks_in: "namespaces",
  sockets: "exchanges with `servers` and `client`, each with `transport`, `address` and `port`",
  queries: "look-ups with a `dst`",
  frames: "frames with `port` and `hex`",
};
