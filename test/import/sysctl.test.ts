/** `sysctl -p FILE` and its relatives: settings from files, several at once, and what is not at hand. */
import { describe, expect, it } from "vitest";
import { findings, printed } from "./helpers.ts";

const readFile = (name: string): string | undefined =>
  name === "/etc/sysctl.d/router.conf"
    ? "# forwards\n; so says the admin\nnet.ipv4.ip_forward = 1\n-net.ipv4.conf.gone.rp_filter = 2\nnet/ipv4/conf/all/rp_filter=2\n"
    : undefined;

describe("sysctl", () => {
  it("-p reads the settings of a file", () => {
    const text = printed("sysctl -q -p /etc/sysctl.d/router.conf\n", { readFile });
    expect(text).toContain("sysctl net.ipv4.ip_forward = 1");
    expect(text).toContain("sysctl net.ipv4.conf.all.rp_filter = 2");
    expect(text).not.toContain("gone");
  });

  it("-w sets several at once", () => {
    const text = printed("sysctl -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=2\n");
    expect(text).toContain("sysctl net.ipv4.ip_forward = 1");
    expect(text).toContain("sysctl net.ipv4.conf.all.rp_filter = 2");
  });

  it.each([
    ["sysctl -p /nowhere", "W0501 1: not imported: the file `/nowhere` is not at hand"],
    ["sysctl -p", "W0501 1: not imported: the file `/etc/sysctl.conf` is not at hand"],
    ["sysctl --system", "W0501 1: not imported: `sysctl --system`"],
  ])("%s is told", (command, finding) => {
    expect(findings(`${command}\n`, { readFile })).toEqual([finding]);
  });
});
