/** How often a peer is told what is wrong with its packets: ip_error and ip_rt_send_redirect share one allowance. */
import { describe, expect, test } from "vitest";
import { SECOND } from "../../runtime/host/events.ts";
import { ErrorRateLimit } from "../../runtime/host/rate-limit.ts";
import { EventQueue } from "../../runtime/lab/queue.ts";
import { IcmpType, Unreachable } from "../../runtime/net/icmp.ts";
import { ip } from "./fake-engine.ts";

const PEER = ip("10.0.0.7");
const times = (n: number, ask: () => boolean): boolean[] => Array.from({ length: n }, ask);

function limiter() {
  const clock = new EventQueue();
  const limit = new ErrorRateLimit(clock);
  const redirect = () => {
    const allowed = limit.allowRedirect(PEER, 0);
    if (allowed) limit.sentRedirect(PEER, 0);
    return allowed;
  };
  return { clock, limit, redirect, error: () => limit.allowRouteError(PEER, 0) };
}

describe("route errors", () => {
  test("five at once, then one a second", () => {
    const { clock, error } = limiter();
    expect(times(6, error)).toEqual([true, true, true, true, true, false]);
    clock.runUntil(SECOND);
    expect(times(2, error)).toEqual([true, false]);
  });

  test("each l3mdev domain has an allowance of its own", () => {
    const { limit, error } = limiter();
    times(5, error);
    expect([limit.allowRouteError(PEER, 0), limit.allowRouteError(PEER, 4)]).toEqual([false, true]);
  });

  test.each([
    ["time exceeded empties the allowance", IcmpType.TIME_EXCEEDED, 0, false],
    ["port unreachable too", IcmpType.DEST_UNREACH, Unreachable.PORT, false],
    ["path MTU discovery is not limited", IcmpType.DEST_UNREACH, Unreachable.FRAG_NEEDED, true],
    ["redirects are no part of icmp_ratemask", IcmpType.REDIRECT, 1, true],
  ])("%s", (_, type, code, allowed) => {
    const { limit, error } = limiter();
    error();
    limit.sentError(PEER, 0, type, code);
    expect(error()).toBe(allowed);
  });
});

describe("redirects", () => {
  test("the pause doubles, and after nine there is silence for 20 s", () => {
    const { clock, redirect } = limiter();
    const sent: number[] = [];
    for (; clock.now < 30 * SECOND; clock.runUntil(clock.now + 10_000)) if (redirect()) sent.push(clock.now / 10_000);
    expect(sent).toEqual([0, 5, 14, 31, 64, 129, 258, 515, 1028]);
    clock.runUntil(clock.now + 21 * SECOND);
    expect(redirect()).toBe(true);
  });

  test("the first one empties the allowance for route errors", () => {
    const { redirect, error } = limiter();
    redirect();
    expect(error()).toBe(false);
  });
});
