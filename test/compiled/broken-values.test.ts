/** Values that a packet has not: what an expression without one does to its rule is the same compiled as in the reference. */
import { describe, expect, test } from "vitest";
import { load } from "../../runtime/dataplane.ts";
import { Entry } from "../../runtime/verdict.ts";
import { compileModel } from "../../src/compile.ts";
import { referenceEngine } from "../../src/reference/engine.ts";
import { frameOf, modelOf } from "../reference/support.ts";
import { planEngines } from "./plan-engine.ts";

const NETWORK = `
sysctl net.ipv4.ip_forward = 1
interface a { index 3; lladdr 02:00:00:00:00:03; address 10.0.0.1/24; address 2001:db8::1/64 }
interface b { index 4; lladdr 02:00:00:00:00:04; address 10.0.1.1/24 }
neighbour 10.0.1.7 lladdr 02:00:00:00:01:07 dev b
map marks { type inet_service : mark; kind array; size 4; elements = { 2 : 7 } }
map ports { type inet_service : iface_index; kind devmap; size 4; elements = { 2 : "b" } }
map hits { type inet_service : counter; kind counters; size 4 }
`;
const program = (rules: string): string => `${NETWORK}program p on tc ingress a {\n${rules}\n}\n`;

const udp = (dport: number): Uint8Array =>
  frameOf(
    { from: "10.0.0.7", to: "10.0.1.7", protocol: 17, payload: Uint8Array.of(4, 210, 0, dport, 0, 8, 0, 0) },
    0x020000000003,
  );
const ipv6 = frameOf({ from: "2001:db8::7", to: "2001:db8::1" }, 0x020000000003);

const CASES: readonly (readonly [string, string, readonly (readonly [string, Uint8Array, string])[]])[] = [
  [
    "an index of an array",
    "counter meta mark set udp dport map @marks counter SHOT",
    [
      ["with an element", udp(2), "1 1"],
      ["that is there all the same, and 0", udp(3), "1 1"],
      ["behind the last", udp(4), "1 0"],
    ],
  ],
  [
    "an index of a device map",
    "counter REDIRECT udp dport map @ports",
    [
      ["with a device", udp(2), "1"],
      ["without", udp(3), "1"],
      ["behind the last", udp(9), "1"],
    ],
  ],
  [
    "an index of counters",
    "counter counter name udp dport map @hits counter SHOT",
    [
      ["inside", udp(3), "1 1"],
      ["behind the last", udp(4), "1 0"],
    ],
  ],
  [
    "an extension header",
    "exthdr frag missing counter SHOT\nexthdr frag exists counter SHOT\nfrag id 0 counter SHOT",
    [
      ["of a packet without one", ipv6, "1 0 0"],
      ["of a header that is cut", ipv6.subarray(0, 38), "1 0 0"],
      ["of IPv4", udp(1), "0 0 0"],
    ],
  ],
  [
    "an IPv4 option",
    "ip option rr missing counter SHOT\nip option rr exists counter SHOT",
    [
      ["of a packet without options", udp(1), "1 0"],
      ["of a header that is cut", udp(1).subarray(0, 30), "1 0"],
      ["of IPv6", ipv6, "0 0"],
    ],
  ],
];

describe.each(CASES)("%s", (_, rules, packets) => {
  test.each(packets)("%s", async (__, bytes, counted) => {
    const model = modelOf(program(rules));
    const reference = referenceEngine(model.nets[0], model.kernel);
    const engines = [
      reference,
      ...planEngines(model, { level: 1 }),
      (await load((await compileModel(model, { level: 2 })).artifact)).net(0),
    ];
    const answers = engines.map((engine) => {
      const batch = engine.createBatch(1);
      batch.put(bytes, { entry: Entry.RECEIVE, device: 3 });
      engine.process(batch);
      const columns = (["verdict", "reason", "outDevice", "mark"] as const).map((name) => batch.column(name)[0]);
      return { columns, counters: engine.readCounters().map((one) => `${one.packets}`) };
    });
    expect(answers[0].counters.join(" ")).toBe(counted);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });
});
