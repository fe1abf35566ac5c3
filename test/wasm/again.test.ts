/** One compilation behind another: what routes and devices became is taken over where only rules and chains are others, and nothing else is. */
import { expect, test } from "vitest";
import { checkText } from "../../dsl/check-text.ts";
import type { Model } from "../../dsl/model.ts";
import { compileModel } from "../../src/compile.ts";

const text = (rule: string, mtu = 1500) => `
  vrf red { table 10 }
  interface eth0 { address 192.0.2.1/24; mtu ${mtu} }
  interface eth1 { address 2001:db8::1/64 }
  interface eth2 { master red; address 10.0.0.1/24 }
  table 10 { route 10.1.0.0/16 via 10.0.0.2 }
  route 198.51.100.0/24 via 192.0.2.2
  ${rule}
`;

function modelOf(said: string): Model {
  const { model, diagnostics } = checkText(said, "again.vrf");
  if (model === null) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return model;
}

/** Without the optimiser: what is taken over is the same for all levels. */
const compiled = (model: Model) => compileModel(model, { level: 0 });

test("another rule: the networks are taken over, and the artifact is that of the changed text", async () => {
  const before = modelOf(text("rule 100 from 10.9.0.0/16 lookup 10"));
  const changed = modelOf(text("rule 100 from 10.8.0.0/16 lookup 10"));
  const kept = changed.nets.map(({ rules, netfilter }, i) => ({ ...before.nets[i], rules, netfilter }));
  const first = await compiled(before);
  const second = await compiled({ ...changed, nets: kept });
  expect(second.layout.networks).toBe(first.layout.networks);
  expect(second.fibs[0]).toBe(first.fibs[0]);
  expect(second.artifact).not.toEqual(first.artifact);
  expect(second.artifact).toEqual((await compiled(changed)).artifact);
  // And what was taken over is as it was.
  expect((await compiled(before)).artifact).toEqual(first.artifact);
});

test("another device: nothing of the image is taken over, though the routes are the same", async () => {
  const before = modelOf(text(""));
  const changed = modelOf(text("", 1400));
  const kept = changed.nets.map((net, i) => ({ ...net, routes: before.nets[i].routes }));
  const first = await compiled(before);
  const second = await compiled({ ...changed, nets: kept });
  expect(second.layout.networks).not.toEqual(first.layout.networks);
  expect(second.artifact).toEqual((await compiled(changed)).artifact);
});
