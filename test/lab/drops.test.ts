/** `expect drop by`: which rule ended a packet, said by both engines. */
import { describe, expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import { runTests } from "../../src/test-run.ts";
import { COMPILE_TIMEOUT } from "./recordings.ts";

const NETWORK = `
interface eth0 { address 10.0.0.1/24; peer far eth0 }
interface eth1 { address 10.0.1.1/24; peer back eth0 }
sysctl net.ipv4.ip_forward = 1

table inet filter {
  chain sub {
    ip daddr 10.0.1.9 counter
    meta l4proto udp udp dport 53 reject comment "no names"
    ip daddr 10.0.1.8 drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    jump sub
    ip ttl vmap { 10 : drop }
  }
  chain input {
    type filter hook input priority 0; policy drop;
    tcp dport 22 accept
  }
}
program scrub on xdp eth0 { ip saddr 10.0.0.66 DROP }

namespace far {
  interface eth0 { address 10.0.0.7/24; address 10.0.0.66/24 }
  route default via 10.0.0.1
  chain input { type filter hook input priority 0; policy accept; }
}
namespace back { interface eth0 { address 10.0.1.7/24; address 10.0.1.8/24 }; route default via 10.0.1.1 }
`;

const lineOf = (step: string): string => `${NETWORK}\ntest "t" { ${step} }\n`;

const cases: readonly (readonly [step: string, failure: string | null])[] = [
  ["in far ping 10.0.1.8 expect drop by sub", null],
  ["in far ping 10.0.1.8 expect drop by sub rule 3", null],
  ["in far ping 10.0.1.8 expect drop by sub rule 3 in host", null],
  [
    "in far ping 10.0.1.8 expect drop by sub rule 2",
    "expected drop by sub rule 2, got nothing, dropped by sub rule 3 in host",
  ],
  [
    "in far ping 10.0.1.8 expect drop by forward",
    "expected drop by forward, got nothing, dropped by sub rule 3 in host",
  ],
  ["in far ping 10.0.1.7 -t 11 expect drop by forward rule 2", null],
  [
    "in far ping 10.0.1.7 expect drop by sub",
    "expected drop by sub, got reply ttl 63 from 10.0.1.7, no rule dropped anything",
  ],
  ["in far ping 10.0.0.1 expect drop by input", null],
  [
    "in far ping 10.0.0.1 expect drop by input rule 1",
    "expected drop by input rule 1, got nothing, dropped by input in host",
  ],
  [
    "in far ping 10.0.0.1 expect drop by input in far",
    "expected drop by input in far, got nothing, dropped by input in host",
  ],
  ["in far ping 10.0.1.7 -I 10.0.0.66 expect drop by scrub", null],
  ['in far connect udp 10.0.1.7:53 expect drop by "no names"', null],
  ["in far connect udp 10.0.1.7:53 expect refused", null],
];

describe.each(["reference", "compiled"] as const)("%s", (engine) => {
  test(
    "says which rule dropped",
    async () => {
      const steps = cases.map(([step], i) => `test "${i}" { ${step} }`).join("\n");
      const { model, diagnostics } = checkText(`${NETWORK}\n${steps}\n`);
      expect(diagnostics.filter(({ severity }) => severity === "error")).toEqual([]);
      const runs = await runTests(model!, engine);
      expect(runs.map((run) => run.steps[0].failure)).toEqual(cases.map(([, failure]) => failure));
    },
    COMPILE_TIMEOUT,
  );
});

test.each([
  ["ping 10.0.0.7 expect drop by inputs", "E0292 inputs: no chain or program is called `inputs`"],
  ["ping 10.0.0.7 expect drop by inputs rule 1", "E0292 inputs: no chain or program is called `inputs`"],
  ["ping 10.0.0.7 expect drop by input rule 2", "E0292 2: `input` has no rule 2"],
  ["ping 10.0.0.7 expect drop by input rule 0", "E0292 0: `input` has no rule 0"],
  ["ping 10.0.0.7 expect drop by sub in far", "E0292 sub: no chain or program is called `sub`"],
  ["ping 10.0.0.7 expect drop by sub in near", "E0201 near: no namespace `near` in this file"],
  ["listen tcp *:80 expect drop by sub", "E0292 drop by sub: `listen tcp` does not come to `drop`"],
])("%s: %s", (step, said) => {
  const text = lineOf(step);
  const { diagnostics } = checkText(text);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  expect(
    errors.map(({ code, message, primary: { span } }) => `${code} ${text.slice(span.start, span.end)}: ${message}`),
  ).toEqual([said]);
});
