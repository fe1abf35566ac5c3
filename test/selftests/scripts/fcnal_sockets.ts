/**
 * fcnal-test.sh, groups of TCP, UDP and address binds: a server in ns-A or ns-B, on no device, the device or the VRF, and a client from
 * the other side or the same, with and without tcp_l3mdev_accept and udp_l3mdev_accept.
 *
 *   heard from 172.16.1.2 by red      what the server received: from whom, and the device that its connection is bound to (TCP)
 *                                     or that the datagram came by (UDP, IP_PKTINFO)
 *
 * The client over UDP is connected and is told ICMP errors, so that "no server" is a refusal here, where the script's waits.
 */
import type { SocketCall } from "../../../src/scenario.ts";
import { type Command, type ExchangeAsk, exchange, type Script, type SelfTest } from "../selftest.ts";
import { A, A6, B, B6, WITH_VRF, WITHOUT_VRF } from "./fcnal_network.ts";

type Transport = SocketCall["transport"];

/** The addresses of one family, and how Linux fails where families differ. */
interface Family {
  readonly group: "ipv4" | "ipv6";
  readonly a: { readonly dev: string; readonly lo: string; readonly vrf: string };
  readonly b: { readonly dev: string; readonly lo: string };
  readonly link: { readonly a: string; readonly b: string } | null;
  readonly any: string;
  readonly loopback: string;
  /** A client on eth1 asks for an own address that is not eth1's. */
  readonly outOfScope: Readonly<Record<Transport, string>>;
  /** A client on no device asks for an address of the VRF. */
  readonly outOfVrf: string;
  /** Over UDP nobody listens, the client is on eth1, and the packet stays in the host. */
  readonly noServerHere: string;
}
const IPV4: Family = {
  group: "ipv4",
  a: A,
  b: B,
  link: null,
  any: "0.0.0.0",
  loopback: "127.0.0.1",
  outOfScope: { tcp: `ICMP 3/1 from ${A.dev}`, udp: "timeout" },
  outOfVrf: "connect: EHOSTUNREACH",
  noServerHere: "timeout",
};
const IPV6: Family = {
  group: "ipv6",
  a: A6,
  b: B6,
  link: { a: A6.link, b: B6.link },
  any: "::",
  loopback: "::1",
  outOfScope: { tcp: "connect: ENETUNREACH", udp: "connect: ENETUNREACH" },
  outOfVrf: "connect: EHOSTUNREACH",
  noServerHere: "refused",
};

const PORT = 12345;
/** Of one transport and family: a server, a client, and what they come to. */
class Group {
  readonly #asks: ExchangeAsk[] = [];
  readonly #transport: Transport;
  readonly #any: string;

  constructor(transport: Transport, { any }: Family) {
    this.#transport = transport;
    this.#any = any;
  }

  get asks(): readonly ExchangeAsk[] {
    return this.#asks;
  }

  /** @param server namespace and device, null: none @param client namespace, device, where to */
  try(about: string, server: string | null, client: string, to: string, expect: string): this {
    const servers = server === null ? [] : [{ ...this.#call(server), address: this.#any }];
    this.#asks.push(exchange(about, { servers, client: { ...this.#call(client), address: to } }, expect));
    return this;
  }

  /** The server answers. @param by null: bound to no device */
  heard(about: string, server: string, client: string, to: string, from: string, by: string | null): this {
    const answered = this.#transport === "tcp" ? "connected" : "reply";
    return this.try(about, server, client, to, `${answered}, heard from ${from}${by === null ? "" : ` by ${by}`}`);
  }

  /** @param end "ns-A", "ns-A eth1" */
  #call(end: string): Omit<SocketCall, "address"> {
    const [ns, device] = end.split(" ");
    return { ns, transport: this.#transport, port: PORT, ...(device === undefined ? {} : { device }) };
  }
}

const NO_DEVICE = "ns-A";
const ON_DEVICE = "ns-A eth1";
const ON_VRF = "ns-A red";
const OTHER = "ns-B";

// ---- no VRF -----------------------------------------------------------------------------------------------------------

function withoutVrf(transport: Transport, family: Family): readonly ExchangeAsk[] {
  const { a, b, link, loopback, outOfScope, noServerHere } = family;
  const group = new Group(transport, family);
  const isTcp = transport === "tcp";
  const [eth1, lo] = isTcp ? [null, null] : ["eth1", "lo"];
  for (const to of [a.dev, a.lo]) {
    group.heard("in, global server", NO_DEVICE, OTHER, to, b.dev, eth1);
    group.try("in, no server", null, OTHER, to, "refused");
  }
  group.heard("in, device server", ON_DEVICE, OTHER, a.dev, b.dev, "eth1");
  for (const to of [b.dev, b.lo]) {
    group.heard("out", OTHER, NO_DEVICE, to, a.dev, eth1);
    group.heard("out, device client", OTHER, ON_DEVICE, to, a.dev, eth1);
    group.try("out, no server", null, NO_DEVICE, to, "refused");
    group.try("out, no server, device client", null, ON_DEVICE, to, "refused");
  }
  for (const to of [a.dev, a.lo, loopback])
    group.heard("local, global server", NO_DEVICE, NO_DEVICE, to, to, to === a.dev ? eth1 : lo);
  group.heard("local, device server", ON_DEVICE, NO_DEVICE, a.dev, a.dev, "eth1");
  group.heard("local, device client", NO_DEVICE, ON_DEVICE, a.dev, a.dev, eth1);
  for (const to of [a.lo, loopback]) {
    group.try("local, device server, out of scope", ON_DEVICE, NO_DEVICE, to, "refused");
    group.try("local, device client, out of scope", NO_DEVICE, ON_DEVICE, to, outOfScope[transport]);
  }
  group.heard("local, device server and client", ON_DEVICE, ON_DEVICE, a.dev, a.dev, "eth1");
  group.try("local, device client, no server", null, ON_DEVICE, a.dev, isTcp ? "refused" : noServerHere);
  if (link !== null) {
    group.heard("in, link-local", NO_DEVICE, "ns-B eth1", link.a, link.b, "eth1");
    group.heard("in, link-local, device server", ON_DEVICE, "ns-B eth1", link.a, link.b, "eth1");
    group.try("in, link-local, no server", null, "ns-B eth1", link.a, "refused");
    group.heard("out, link-local", OTHER, ON_DEVICE, link.b, link.a, "eth1");
    group.try("out, link-local, no server", null, ON_DEVICE, link.b, "refused");
    group.heard("local, link-local", NO_DEVICE, ON_DEVICE, link.a, link.a, "eth1");
    group.heard("local, link-local, device server", ON_DEVICE, ON_DEVICE, link.a, link.a, "eth1");
  }
  return group.asks;
}

// ---- with a VRF -------------------------------------------------------------------------------------------------------

/** Servers on no device are deaf to the VRF. */
function globalDisabled(transport: Transport, family: Family): readonly ExchangeAsk[] {
  const { a, b, link } = family;
  const group = new Group(transport, family);
  const red = transport === "tcp" ? "red" : "eth1";
  for (const to of [a.dev, a.vrf]) {
    group.try("in, global server", NO_DEVICE, OTHER, to, "refused");
    group.heard("in, VRF server", ON_VRF, OTHER, to, b.dev, red);
    group.heard("in, device server", ON_DEVICE, OTHER, to, b.dev, "eth1");
    group.try("in, no server", null, OTHER, to, "refused");
  }
  group.try("local, global server, VRF client", NO_DEVICE, ON_VRF, a.dev, "refused");
  if (transport === "tcp") group.try("local, global server, device client", NO_DEVICE, ON_DEVICE, a.dev, "refused");
  if (link !== null && transport === "tcp") {
    group.try("in, link-local, global server", NO_DEVICE, "ns-B eth1", link.a, "refused");
    group.heard("in, link-local, VRF server", ON_VRF, "ns-B eth1", link.a, link.b, "eth1");
    group.heard("in, link-local, device server", ON_DEVICE, "ns-B eth1", link.a, link.b, "eth1");
    group.try("in, link-local, no server", null, "ns-B eth1", link.a, "refused");
  }
  return [...group.asks, ...localInVrf(transport, family)];
}

function globalEnabled(transport: Transport, family: Family): readonly ExchangeAsk[] {
  const { a, b, link, outOfVrf } = family;
  const group = new Group(transport, family);
  const red = transport === "tcp" ? "red" : "eth1";
  for (const to of [a.dev, a.vrf]) {
    group.heard("in, global server", NO_DEVICE, OTHER, to, b.dev, red);
    group.heard("in, VRF server", ON_VRF, OTHER, to, b.dev, red);
    group.try("in, no server", null, OTHER, to, "refused");
    group.try("local, VRF server, unbound client", ON_VRF, NO_DEVICE, to, outOfVrf);
  }
  group.heard("in, device server", ON_DEVICE, OTHER, a.dev, b.dev, "eth1");
  const there = transport === "tcp" ? null : "eth1";
  for (const to of [b.dev, b.lo])
    for (const client of [ON_VRF, ON_DEVICE]) {
      group.heard("out", OTHER, client, to, a.dev, there);
      group.try("out, no server", null, client, to, "refused");
    }
  group.heard("local, global server, VRF client", NO_DEVICE, ON_VRF, a.dev, a.dev, red);
  if (link !== null) {
    group.heard("in, link-local, global server", NO_DEVICE, "ns-B eth1", link.a, link.b, "eth1");
    group.heard("in, link-local, VRF server", ON_VRF, "ns-B eth1", link.a, link.b, "eth1");
    group.heard("in, link-local, device server", ON_DEVICE, "ns-B eth1", link.a, link.b, "eth1");
    group.try("in, link-local, no server", null, "ns-B eth1", link.a, "refused");
    group.heard("out, link-local, device client", OTHER, ON_DEVICE, link.b, link.a, "eth1");
    group.try("out, link-local, no server", null, ON_DEVICE, link.b, "refused");
    group.try("out, link-local, VRF client", OTHER, ON_VRF, link.b, "connect: ENETUNREACH");
    group.heard("local, link-local, device server", ON_DEVICE, ON_DEVICE, link.a, link.a, "eth1");
  }
  return [...group.asks, ...localInVrf(transport, family)];
}

/** The server is on the VRF or the device: no sysctl says anything. */
function localInVrf(transport: Transport, family: Family): readonly ExchangeAsk[] {
  const { a, loopback } = family;
  const group = new Group(transport, family);
  const isTcp = transport === "tcp";
  for (const to of [a.dev, a.vrf, loopback]) {
    const by = isTcp || to !== a.dev ? "red" : "eth1";
    group.heard("local, VRF server and client", ON_VRF, ON_VRF, to, to, by);
    group.try("local, no server, VRF client", null, ON_VRF, to, "refused");
  }
  group.heard("local, VRF server, device client", ON_VRF, ON_DEVICE, a.dev, a.dev, isTcp ? "red" : "eth1");
  group.heard("local, device server, VRF client", ON_DEVICE, ON_VRF, a.dev, a.dev, "eth1");
  group.heard("local, device server and client", ON_DEVICE, ON_DEVICE, a.dev, a.dev, "eth1");
  return group.asks;
}

// ---- binds ------------------------------------------------------------------------------------------------------------

/** The script binds raw sockets and sockets of ping too; the rule is the same. */
function bind(about: string, { any: _, ...family }: Family, end: string, address: string, expect: string): ExchangeAsk {
  const [ns, device] = end.split(" ");
  const server: SocketCall = { ns, transport: "tcp", address, port: PORT, ...(device === undefined ? {} : { device }) };
  return exchange(`${about}, ${family.group}`, { servers: [server] }, expect);
}

const NOT_HERE = "bind: EADDRNOTAVAIL";

const bindsWithoutVrf = (family: Family): readonly ExchangeAsk[] => [
  bind("local address", family, NO_DEVICE, family.a.dev, "listening"),
  bind("local address after device bind", family, ON_DEVICE, family.a.dev, "listening"),
  bind("address of another device", family, ON_DEVICE, family.a.lo, "listening"),
  bind("address of nobody", family, NO_DEVICE, family.b.lo, NOT_HERE),
];

const bindsWithVrf = (family: Family): readonly ExchangeAsk[] => [
  ...[family.a.dev, family.a.vrf].flatMap((address) => [
    bind("address of the VRF", family, NO_DEVICE, address, NOT_HERE),
    bind("address of the VRF after VRF bind", family, ON_VRF, address, "listening"),
    bind("address of the VRF after device bind", family, ON_DEVICE, address, "listening"),
  ]),
  bind("out of scope, VRF", family, ON_VRF, family.a.lo, NOT_HERE),
  bind("out of scope, device", family, ON_DEVICE, family.a.lo, NOT_HERE),
];

// ---- all of it --------------------------------------------------------------------------------------------------------

const sysctl = (transport: Transport, value: 0 | 1): Command =>
  `ip netns exec ns-A sysctl -qw net.ipv4.${transport}_l3mdev_accept=${value}`;

const testsOf = (transport: Transport, family: Family): SelfTest[] => [
  ...([0, 1] as const).map((value) => ({
    group: `${family.group}_${transport}_novrf`,
    name: `l3mdev_accept ${value}`,
    setup: [...WITHOUT_VRF, sysctl(transport, value)],
    asks: withoutVrf(transport, family),
  })),
  {
    group: `${family.group}_${transport}_vrf`,
    name: "global server disabled",
    setup: [...WITH_VRF, sysctl(transport, 0)],
    asks: globalDisabled(transport, family),
  },
  {
    group: `${family.group}_${transport}_vrf`,
    name: "global server enabled",
    setup: [...WITH_VRF, sysctl(transport, 1)],
    asks: globalEnabled(transport, family),
  },
];

const binds = (family: Family): SelfTest[] => [
  { group: `${family.group}_addr_bind_novrf`, name: "TCP", setup: WITHOUT_VRF, asks: bindsWithoutVrf(family) },
  { group: `${family.group}_addr_bind_vrf`, name: "TCP", setup: WITH_VRF, asks: bindsWithVrf(family) },
];

export const fcnalSockets: Script = {
  script: "fcnal-test.sh",
  part: "sockets",
  tests: [IPV4, IPV6].flatMap((family) => [...testsOf("tcp", family), ...testsOf("udp", family), ...binds(family)]),
};
