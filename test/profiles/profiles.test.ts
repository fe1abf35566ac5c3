/**
 * What differs between kernels, by profile: each difference with its source, asked of the reference and of the compiled module.
 * Only 6.1 is held against recordings; the others follow the sources named here.
 */
import { describe, expect, test } from "vitest";
import { openEngines } from "../../src/engines.ts";
import { hostOn, modelOf, type Outcome } from "../reference/support.ts";

type Profile = "5.4" | "6.1" | "6.15";

const VRF = `
sysctl net.ipv4.ip_forward = 1
sysctl net.ipv6.conf.all.forwarding = 1
vrf red { table 10; address 10.9.9.9/32 }
vrf blue { table 20 }
interface a { master red; address 10.0.0.1/24; address 2001:db8::1/64 }
interface b { master red; address 10.0.1.1/24 }
interface c { master blue; address 10.0.2.1/24 }
`;

interface Difference {
  readonly what: string;
  readonly source: string;
  readonly policy?: string;
  /** `in DEV FROM > TO`: received; `out DEV FROM > TO`: of a socket bound to DEV (-: to none). */
  readonly packet: string;
  /** What of the outcome to look at. */
  readonly look: (outcome: Outcome) => string | boolean;
  readonly answers: Readonly<Record<Profile, string | boolean>>;
}

const MATCHES = "l3mdev_update_flow (5.18, 40867d74c374), fib_rule_iif_match and fib_rule_oif_match (6.15)";
const prohibited = ({ story }: Outcome): boolean => /icmp_send 3\/13|icmpv6_send 1\/1|send_error EACCES/.test(story);
const rule = (selector: string, packet: string, [old, middle, young]: readonly boolean[]): Difference => ({
  what: `rule ${selector}, ${packet}`,
  source: MATCHES,
  policy: `rule ${packet.includes(":") ? "inet6" : "inet"} 100 ${selector} prohibit`,
  packet,
  look: prohibited,
  answers: { "5.4": old, "6.1": middle, "6.15": young },
});
const IN = "in a 10.0.0.7 > 10.0.0.9";
const IN6 = "in a 2001:db8::7 > 2001:db8::9";

const differences: readonly Difference[] = [
  rule("iif red", IN, [true, false, true]),
  rule("iif a", IN, [false, true, true]),
  rule("oif red", "out red 0.0.0.0 > 10.0.0.9", [true, false, true]),
  rule("oif a", "out a 0.0.0.0 > 10.0.0.9", [false, true, true]),
  rule("oif red", "out a 0.0.0.0 > 10.0.0.9", [true, false, true]),
  rule("iif red", "out red 0.0.0.0 > 10.0.0.9", [false, false, false]),
  rule("oif red", IN, [false, false, false]),
  // IPv6 hands the VRF to the rules as iif in every release (vrf_ip6_rcv changes skb->dev before ip6_route_input).
  rule("iif red", IN6, [true, true, true]),
  rule("iif a", IN6, [false, false, false]),
  {
    what: "a socket bound to slave a, the destination behind slave b",
    source: "FLOWI_FLAG_SKIP_NH_OIF of l3mdev_update_flow, gone in 5.18 (40867d74c374)",
    packet: "out a 0.0.0.0 > 10.0.1.9",
    look: ({ story }) => story.split(" | ")[0],
    answers: { "5.4": "route dev b src 10.0.1.1", "6.1": "send_error ENETUNREACH", "6.15": "send_error ENETUNREACH" },
  },
  {
    what: "the lowest address of a subnet",
    source: "fib_add_ifaddr: a broadcast address until 5.13 (ip: Treat IPv4 segment's lowest address as unicast)",
    packet: "in a 10.0.0.7 > 10.0.0.0",
    look: ({ trace }) => trace.some((step) => step.step === "ip_local_deliver"),
    answers: { "5.4": true, "6.1": false, "6.15": false },
  },
  {
    what: "the source of a route that leaks into another VRF",
    source: "fib_select_path (ipv4: fix source address selection with route leak; 6.11, and the stable 6.1)",
    policy: "table 10 { route 10.0.2.0/24 dev c }",
    packet: "out red 0.0.0.0 > 10.0.2.7",
    look: ({ story }) => story.split(" | ")[0],
    answers: {
      "5.4": "route dev c src 10.0.2.1",
      "6.1": "route dev c src 10.9.9.9",
      "6.15": "route dev c src 10.9.9.9",
    },
  },
];

describe.each(["reference", "compiled"] as const)("%s", (kind) => {
  for (const { what, source, policy = "", packet, look, answers } of differences)
    test.each(Object.entries(answers))(`${what} (${source}): %s`, async (kernel, answer) => {
      const model = modelOf(`kernel "${kernel}"\n${VRF}\n${policy}`);
      const [engine] = await openEngines(model, kind, 0);
      const host = hostOn(model.nets[0], engine);
      const [direction, device, from, , to] = packet.split(" ");
      const words = { from, to };
      expect(look(direction === "in" ? host.receive(device, words) : host.output(device, words))).toBe(answer);
    });
});
