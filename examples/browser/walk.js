/**
 * A trace as lines for people, with nothing but what the module itself says: names of devices and tables, and where in the policy's text
 * each rule and route comes from, are in its manifest.
 */
import { DropReason, Errno, formatIp, nameOf } from "../../dist/runtime/index.js";

/**
 * @param trace  of a packet (TraceStep[])
 * @param net    the namespace's part of the manifest
 * @param lineOf line of the policy at an offset
 * @returns {{ title: string, detail: string, line: number | null, end: string | null, inner: boolean }[]}
 */
export function walk(trace, net, lineOf) {
  const device = (ifindex) => net.devices.find((each) => each.ifindex === ifindex)?.name ?? `#${ifindex}`;
  const table = (id) => net.tables.find((each) => each.id === id)?.name ?? { 254: "main", 255: "local" }[id] ?? id;
  const origin = ({ span, kernel }) => ({ line: span === undefined ? null : lineOf(span[0]), kernel });
  const said = (what, { line, kernel }, detail) => ({
    title: what,
    detail: kernel ? `${detail} (${kernel})` : detail,
    line,
    inner: true,
  });

  /** By step: a title and a detail, how it ends the way, or null for what needs no line. */
  const tell = {
    hook: ({ hook, in: input, out }) => [
      hook,
      [input && `in ${device(input)}`, out && `out ${device(out)}`].filter(Boolean).join(" "),
    ],
    vrf_l3_rcv: (step) => ["vrf_l3_rcv", `${device(step.device)} → ${device(step.vrf)}`],
    vrf_l3_out: (step) => ["vrf_l3_out", `${device(step.device)} by way of ${device(step.vrf)}`],
    vrf_xmit: (step) => ["vrf_xmit", `${device(step.vrf)} sends: the VRF's table decides`],
    lookup: ({ kind, flow }) => [`look-up (${kind})`, `${formatIp(flow.saddr)} > ${formatIp(flow.daddr)}`],
    fib_validate_source: (step) => ["source", step.error === 0 ? "ok" : `refused: ${nameOf(Errno, step.error)}`],
    route: ({ gateway, ...step }) => [
      "route",
      `${gateway === null ? "on link" : `via ${formatIp(gateway)}`} dev ${device(step.device)}`,
    ],
    ip_forward: ({ ttl }) => ["forward", `ttl ${ttl} → ${ttl - 1}`],
    neighbour: (step) => ["neighbour", `${formatIp(step.nextHop)} ${step.resolved ? "known" : "unknown: ask"}`],
    transmit: (step) => ["sent", device(step.device), "sent"],
    ip_local_deliver: (step) => ["local", `for a socket of this host, dev ${device(step.device)}`, "local"],
    icmp_send: ({ type, code }) => ["ICMP error", `type ${type} code ${code}`, "error"],
    send_error: ({ error }) => ["send fails", nameOf(Errno, error), "error"],
    drop: ({ reason }) => ["dropped", nameOf(DropReason, reason), "dropped"],
    result: () => null,
  };

  return trace.flatMap((step) => {
    if (step.step === "rule")
      return [
        said(
          `rule ${step.rule + 1}`,
          origin(net.rules[step.rule]),
          step.matched ? "matched" : `no match: ${step.failed}`,
        ),
      ];
    if (step.step === "fib") {
      // The manifest knows those of the text.
      const known = net.routes[step.route];
      const found = known === undefined ? {} : origin(known);
      const answer =
        step.route === null
          ? "nothing here"
          : step.error === 0
            ? known
              ? "found"
              : "found: added since"
            : nameOf(Errno, step.error);
      return [said(`table ${table(step.table)}`, { line: null, ...found }, answer)];
    }
    const told = step.step in tell ? tell[step.step](step) : [step.step, ""];
    return told === null ? [] : [{ title: told[0], detail: told[1], end: told[2] ?? null, line: null, inner: false }];
  });
}
