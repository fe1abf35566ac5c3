/**
 * Servers and clients in and out of a VRF: the expectations are what Linux 6.1.192 answered to the same calls, with IP_RECVERR (only that
 * all VRFs share their ports is read off inet_sk_bound_l3mdev).
 */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { parseIp } from "../../runtime/net/ip.ts";
import { openLab } from "../../src/lab.ts";
import { runTests } from "../../src/test-run.ts";
import { COMPILE_TIMEOUT } from "./recordings.ts";

const NETWORK = `
namespace host {
  sysctl net.ipv4.ip_forward = 1
  vrf red { table 100; address 1.1.1.1/32 }
  interface vethr1 { master red; address 10.0.0.1/24; peer ns0 veth1 }
  interface vethr2 { master red; address 10.0.1.1/24; peer ns1 veth2 }
  route unreachable default vrf red metric 4278198272
}
namespace ns0 { interface veth1 { address 10.0.0.7/24 }; route default via 10.0.0.1 }
namespace ns1 { interface veth2 { address 10.0.1.7/24 }; route default via 10.0.1.1 }
`;
const ACCEPT = `namespace host { sysctl net.ipv4.tcp_l3mdev_accept = 1; sysctl net.ipv4.udp_l3mdev_accept = 1 }`;
const LEAK = `namespace host { route 10.0.0.0/24 dev red; route 10.0.1.0/24 dev vethr2 }`;
const SERVERS = `in ns0 listen tcp 0.0.0.0:80; in ns0 listen udp 0.0.0.0:7; in ns1 listen tcp 0.0.0.0:80; in ns1 listen udp 0.0.0.0:7`;

const TESTS = `
test "a server on no device does not hear a VRF" {
  listen tcp *:80
  listen udp *:53
  in ns0 connect tcp 10.0.0.1:80 expect refused
  in ns0 connect udp 10.0.0.1:53 expect refused
}
test "with l3mdev_accept it does" {
  ${ACCEPT}
  listen tcp *:80
  listen udp 0.0.0.0:53
  listen tcp 0.0.0.0:81 -I vethr1
  listen tcp *:81 -I red
  in ns0 connect tcp 10.0.0.1:80 from 10.0.0.7 expect connected
  in ns0 connect udp 10.0.0.1:53 expect reply from 10.0.0.1
  in ns0 connect udp 1.1.1.1:53 expect reply from 1.1.1.1
  connect tcp 1.1.1.1:80 -I red expect connected
  connect tcp 10.0.0.1:80 -I red expect connected
  connect tcp 10.0.0.1:80 -I vethr1 expect connected
  connect tcp 10.0.1.1:80 -I vethr1 expect error EHOSTUNREACH
  connect tcp 10.0.0.1:80 expect error ENETUNREACH
  connect udp 1.1.1.1:53 -I red expect reply
  connect udp 10.0.0.1:53 -I red expect reply
  connect udp 10.0.0.1:53 -I vethr1 expect reply
  connect udp 10.0.1.1:53 -I vethr1 expect error EHOSTUNREACH
  connect udp 10.0.0.1:53 expect error ENETUNREACH
  in ns0 connect tcp 10.0.0.1:81 expect connected
  in ns1 connect tcp 10.0.1.1:81 expect connected
}
test "bind" {
  listen tcp 10.0.0.1:80 -I red
  listen tcp 192.0.2.1:80 -I red expect error EADDRNOTAVAIL
  listen tcp 10.0.0.1:81 expect error EADDRNOTAVAIL
  listen tcp *:80
  listen udp 10.0.0.255:53 -I red
  listen udp 0.0.0.0:53 -I red expect error EADDRINUSE
  listen udp 0.0.0.0:53 -I vethr1
  listen udp 0.0.0.0:53 -I vethr2
  listen udp 10.0.0.1:53 -I vethr2 expect error EADDRINUSE
  listen udp 224.0.0.1:99
  connect tcp 10.0.1.7:9 -I red from 10.0.0.1 expect refused
  connect tcp 10.0.1.7:9 -I vethr1 from 10.0.0.1 expect error EHOSTUNREACH
  connect tcp 10.0.1.7:9 from 10.0.0.1 expect error EADDRNOTAVAIL
  in ns0 connect tcp 10.0.0.1:80 expect connected
  in ns0 connect tcp 10.0.1.1:80 expect refused
  in ns0 connect udp 10.0.0.1:53 expect reply
  in ns1 connect udp 10.0.0.1:53 expect reply
  in ns0 connect udp 1.1.1.1:53 expect reply
  in ns1 connect udp 1.1.1.1:53 expect reply
  connect udp 1.1.1.1:53 -I red expect refused
  connect udp 10.0.0.1:53 -I red expect reply
}
test "with l3mdev_accept the ports of all VRFs are the same" {
  ${ACCEPT}
  listen tcp 10.0.0.1:80 -I red
  listen tcp *:80 expect error EADDRINUSE
}
test "errors, and who hears of them" {
  in ns1 listen udp 0.0.0.0:7
  in ns0 connect tcp 10.0.9.7:80 expect unreachable host from 10.0.0.1
  in ns0 connect udp 10.0.9.7:80 expect unreachable host from 10.0.0.1
  connect udp 10.0.9.7:80 -I red expect error EHOSTUNREACH
  connect tcp 10.0.0.99:80 -I red expect timeout
  connect tcp 10.0.0.99:80 -I vethr1 expect unreachable host
  connect udp 10.0.0.98:80 -I red expect unreachable host
  connect udp 10.0.0.98:80 -I vethr1 expect timeout
  connect udp 10.0.1.7:7 -I red expect reply
  connect udp 10.0.1.7:7 -I vethr2 expect reply
  connect udp 10.0.1.7:7 expect error ENETUNREACH
  connect tcp 10.0.1.7:9 -I red expect refused
  connect tcp 10.0.1.7:9 -I vethr2 expect refused
  connect udp 10.0.1.7:9 -I red expect refused
  connect udp 10.0.1.7:9 -I vethr2 expect refused
  connect udp 10.0.0.1:9 -I vethr1 expect timeout
  connect udp 255.255.255.255:9 -I red expect error EACCES
  connect tcp 255.255.255.255:9 -I red expect error ENETUNREACH
  connect tcp 10.0.0.255:9 -I red expect error ENETUNREACH
  connect udp 10.0.0.255:9 -I red expect error EACCES
  connect tcp 224.0.0.1:9 -I vethr1 expect error ENETUNREACH
}
test "a client on no device is led into the VRF by a route, and deaf to the answer" {
  ${LEAK}
  ${SERVERS}
  connect tcp 10.0.0.7:80 expect timeout
  connect udp 10.0.0.7:7 expect timeout
  connect tcp 10.0.1.7:80 expect timeout
  connect udp 10.0.1.7:7 expect timeout
}
test "with l3mdev_accept it hears" {
  ${ACCEPT}
  ${LEAK}
  ${SERVERS}
  connect tcp 10.0.0.7:80 expect connected
  connect udp 10.0.0.7:7 expect reply
  connect tcp 10.0.1.7:80 expect connected
  connect udp 10.0.1.7:7 expect reply
  connect tcp 10.0.0.7:81 expect refused
  connect udp 10.0.0.7:8 expect refused
}
`;

function modelOf(text: string): Model {
  const { model, diagnostics } = checkText(text, "sockets.vrf");
  expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
  return model as Model;
}

describe.each(["reference", "compiled"] as const)("as Linux answers: %s", (engine) => {
  test("listen and connect", { timeout: COMPILE_TIMEOUT }, async () => {
    const runs = await runTests(modelOf(NETWORK + TESTS), engine);
    const failures = runs.flatMap(({ name, steps }) =>
      steps.flatMap(({ command, failure }) => (failure === null ? [] : [`${name}: ${command}: ${failure}`])),
    );
    expect(failures).toEqual([]);
  });
});

test("an accepted connection is bound to the listener's device, or to the VRF that it came by", async () => {
  const text = `${NETWORK}\nsysctl net.ipv4.tcp_l3mdev_accept = 1`;
  const lab = await openLab(modelOf(text), "reference");
  const [host, ns0] = [lab.netNamed("host"), lab.netNamed("ns0")];
  const device = (name: string) => lab.hosts[host].device(name)?.ifindex;
  expect(lab.listen(host, { transport: "tcp", address: null, port: 80 })).toBeNull();
  expect(lab.listen(host, { transport: "tcp", address: null, port: 81, device: device("vethr1") })).toBeNull();
  for (const port of [80, 81]) lab.connect(ns0, { transport: "tcp", address: parseIp("10.0.0.1") as number, port });
  const bound = lab.hosts[host].sockets.accepted.map((child) => [child.localPort, child.device]);
  expect(bound.sort()).toEqual([
    [80, device("red")],
    [81, device("vethr1")],
  ]);
});
