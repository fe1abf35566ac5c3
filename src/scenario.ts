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
  readonly proto: string;
  readonly ttl?: number;
  readonly icmp_type?: number;
}
