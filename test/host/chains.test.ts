/** What the host does for chains: resets, what senders are told, copies. */
import { expect, test } from "vitest";
import { checkText } from "../../dsl/index.ts";
import { hookWalk } from "../../runtime/lab/hook-walk.ts";
import { describeFrame } from "../../runtime/net/describe.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { openLab } from "../../src/lab.ts";

const policy = (chain: string) => `
namespace host {
  sysctl net.ipv4.ip_forward = 1
  interface eth0 { address 10.0.0.1/24; peer a veth }
  interface eth1 { address 10.0.1.1/24; peer b veth }
  ${chain}
}
namespace a { interface veth { address 10.0.0.7/24 } route default via 10.0.0.1 }
namespace b { interface veth { address 10.0.1.7/24 } route default via 10.0.1.1 }
`;

async function labWith(chain: string) {
  const { model, diagnostics } = checkText(policy(chain));
  if (model === null) throw new Error(diagnostics.map((d) => d.message).join("\n"));
  const lab = await openLab(model, "reference");
  return { lab, net: (name: string) => lab.netNamed(name) };
}
const forward = (rules: string) => `chain c { type filter hook forward priority 0; policy accept; ${rules} }`;
const to = parseIp("10.0.1.7")!;

test("a connection that is rejected with a reset is refused", async () => {
  const { lab, net } = await labWith(forward("tcp dport 80 reject with tcp reset"));
  const { outcome } = lab.connect(net("a"), { transport: "tcp", address: to, port: 80 });
  expect(outcome).toEqual({ kind: "refused", from: to });
});

test("a ping that the own output chain drops is not permitted", async () => {
  const { lab, net } = await labWith("chain c { type filter hook output priority 0; policy drop; }");
  const { outcome } = lab.ping(net("host"), { destination: to });
  expect(outcome).toEqual({ kind: "error", call: "sendmsg", errno: 1 });
});

test("a rejected ping gets the error", async () => {
  const { lab, net } = await labWith(forward("reject with icmp admin-prohibited"));
  const { stdout } = lab.ping(net("a"), { destination: to });
  expect(stdout).toContain("From 10.0.0.1");
});

test("dup: the copy leaves by another device", async () => {
  const { lab, net } = await labWith(
    'table netdev n { chain c { type filter hook ingress device eth0 priority 0; policy accept; ip protocol icmp dup to "eth0" } }',
  );
  const { events } = lab.ping(net("a"), { destination: to });
  const sent = events.flatMap((e) => (e.kind === "frame" && e.net === net("host") && !e.arp ? [e.device] : []));
  const eth0 = lab.nets[net("host")].devices.find((d) => d.name === "eth0")!.ifindex;
  expect(sent[0]).toBe(eth0);
  expect(events.some((e) => e.kind === "frame" && describeFrame(e.frame).includes("reply"))).toBe(true);
});

test("a redirect's hooks stand where it was sent, also when the packet was copied before", async () => {
  const { lab, net } = await labWith(`
    route 10.9.0.0/16 via 10.0.0.9
    table netdev n { chain c { type filter hook ingress device eth0 priority 0; policy accept; ip daddr 10.9.0.1 dup to "eth1" } }`);
  const { events } = lab.ping(net("a"), { destination: parseIp("10.9.0.1")! });
  const walk = hookWalk(events, lab.nets).flatMap(({ ns, hook, icmp_type }) =>
    ns === "host" ? `${hook} ${icmp_type}` : [],
  );
  expect(walk.slice(0, 5)).toEqual(["prerouting 8", "output 5", "postrouting 5", "forward 8", "postrouting 8"]);
});
