/** Each match and statement that chains have, in a rule set in the form of `nft -f`: it imports, checks and prints as it was. */
import { expect, it } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { print } from "../../dsl/print.ts";
import { importNft } from "../../src/import/nft/import.ts";

const INET =
  "table inet t { set s { type ipv4_addr; flags interval; }\n counter n {}\n chain d { }\n chain c { type filter hook";
/** The devices that a chain at ingress names must be there. */
const DEVICES = "interface eth0\ninterface eth1\n";
const NETDEV = 'table netdev t { chain c { type filter hook ingress device "eth0"';

it.each([
  ["forward", "iifname eth0 oifname eth1 accept"],
  ["forward", "iiftype ether accept"],
  ["forward", "meta mark 1 accept"],
  ["forward", "meta protocol ip accept"],
  ["forward", "meta l4proto tcp accept"],
  ["forward", "meta nfproto ipv6 accept"],
  ["forward", "meta length 64-1500 accept"],
  ["input", "meta pkttype broadcast drop"],
  ["forward", "meta priority 1:2 accept"],
  ["output", "meta skuid 1000 accept"],
  ["forward", "ip dscp cs1 accept"],
  ["forward", "ip ttl != 1 accept"],
  ["forward", "ip6 hoplimit < 2 drop"],
  ["forward", "tcp flags & (syn | ack) == syn drop"],
  ["forward", "udp dport { 53, 1000-2000 } accept"],
  ["forward", "icmp type echo-request accept"],
  ["forward", "icmpv6 type echo-request accept"],
  ["input", "ether saddr 02:00:00:00:00:01 accept"],
  ["input", "vlan id 5 accept"],
  ["forward", "@th,16,16 22 accept"],
  ["forward", "@nh,64,8 1 accept"],
  ["input", "@ll,0,48 1 accept"],
  ["forward", "meta mark & 255 == 1 accept"],
  ["forward", "ip saddr @s drop"],
  ["forward", "ip saddr . tcp dport { 10.0.0.1 . 22 } accept"],
  ["forward", "meta mark set ip saddr map { 10.0.0.1 : 1 }"],
  ["forward", "tcp dport vmap { 22 : accept, 23 : drop }"],
  ["prerouting", "fib saddr . iif oif missing drop"],
  ["prerouting", "fib daddr type local accept"],
  ["forward", "jump d"],
  ["forward", "goto d"],
  ["forward", "return"],
  ["forward", "continue"],
  ["forward", "counter accept"],
  ["forward", "counter name n accept"],
  ["forward", "meta mark set 7"],
  ["forward", "meta priority set 1:2"],
  ["forward", "ip ttl set 5"],
  ["forward", "reject with tcp reset"],
  ["forward", "reject with icmpx port-unreachable"],
  ["forward", "limit rate 10/second accept"],
  ["forward", 'log prefix "x"'],
  ["ingress", "dup to eth1"],
  ["ingress", "fwd to eth1"],
])("%s: %s", (hook, rule) => {
  const head = hook === "ingress" ? NETDEV : `${INET} ${hook}`;
  const { ast, diagnostics } = importNft({
    name: "rules.nft",
    text: `${head} priority 0; policy accept;\n ${rule}\n }\n}\n`,
  });
  expect(diagnostics).toEqual([]);
  const text = print(ast);
  expect(text.split("\n").map((line) => line.trim())).toContain(rule);
  expect(checkText(`${DEVICES}${text}`).diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
});
