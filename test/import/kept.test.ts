/** Nothing is dropped silently: comments stay, and every line that does not become something is reported and kept. */
import { describe, expect, it } from "vitest";
import { findings, imported, printed } from "./helpers.ts";

describe("comments", () => {
  it("stay with what they describe", () => {
    const script = `#!/bin/sh
# the VRF
# of customer A
ip link add red type vrf table 10   # table of A
ip link set red up

# its port
ip link add d0 up type dummy
# its address
ip addr add 10.0.0.1/24 dev d0
# out
ip route add 10.9.0.0/16 via 10.0.0.2 # the upstream
# the end`;
    expect(printed(script)).toBe(
      `namespace host {
  # the VRF
  # of customer A
  vrf red { table 10 } # table of A
  # its port
  interface d0 {
    type dummy
    # its address
    address 10.0.0.1/24
  }

  # out
  route 10.9.0.0/16 via 10.0.0.2 # the upstream
}
# the end
`.replace("} # table of A\n  # its port", "} # table of A\n\n  # its port"),
    );
  });

  it("at the top are about the file", () => {
    expect(printed("#!/bin/sh\n# A lab.\n\n# port\nip link add d0 up type dummy")).toBe(
      "# A lab.\nnamespace host {\n  # port\n  interface d0 { type dummy }\n}\n",
    );
  });

  it("are kept when what they describe goes", () => {
    const text = printed(
      "# gone\nip link add d0 type dummy # soon\nip link del d0\n# stays\nip link add d1 up type dummy",
    );
    for (const line of ["# gone", "# soon", "# stays"]) expect(text).toContain(line);
  });

  it("are kept when what they describe is replaced", () => {
    const script =
      "ip link add d0 up type dummy\n# one\nip route add 10.0.0.0/8 dev d0\n# two\nip route replace 10.0.0.0/8 dev d0 src 127.0.0.1";
    const text = printed(script);
    expect(text.match(/# (one|two)/g)).toEqual(["# one", "# two"]);
  });
});

/** A line, and why it is not imported. */
const UNSUPPORTED: readonly (readonly [line: string, why: string])[] = [
  ["ip link add br0 type bridge", "devices of type `bridge` are not in vrfc"],
  ["ip link set d0 arp off", "`arp off`"],
  ["ip link set d0 xdp obj x.o", 'either "dev" is duplicate'],
  ["ip link set d0 type vrf table 7", "changing what belongs to a device's type"],
  ["ip addr add 10.0.0.1/24 dev d0 anycast 10.0.0.9", "anycast addresses"],
  ["ip addr del 127.0.0.1/8 dev lo", "vrfc cannot take away the address that comes with lo"],
  ["ip route add 10.0.0.0/8 encap mpls 100 via 10.0.0.1", "`encap` of `ip route`"],
  ["ip route restore < x", "`ip route restore`"],
  [
    "ip route del local 10.5.0.1 table local",
    "vrfc cannot take away a route that the kernel makes for an address of its own",
  ],
  ["ip rule add tun_id 5 lookup 7", "`tun_id` of `ip rule`"],
  [
    "ip neigh add 10.5.0.2 lladdr 02:00:00:00:00:01 dev d0 nud stale",
    "a neighbour in state `stale`: only permanent ones stay",
  ],
  ["ip neigh add proxy 10.5.0.2 dev d0", "`proxy` of `ip neighbour`"],
  ["ip nexthop add id 5 group 1/2 type resilient", "next-hop groups of type `resilient`"],
  ["ip nexthop add id 5 fdb", "`fdb` of `ip nexthop`"],
  ["ip tunnel add t0 mode gre remote 1.2.3.4", "`ip tunnel`"],
  ["ip xfrm policy flush", "`ip xfrm`"],
  ["ip vrf exec red sshd", "`ip vrf exec`"],
  ["ip -all netns delete", "`ip -all`"],
  ["ip -batch routes.txt", "the file `routes.txt` is not at hand"],
  ["sysctl -p /etc/sysctl.conf", "the file `/etc/sysctl.conf` is not at hand"],
  ["echo x > /etc/motd", "writing to `/etc/motd`"],
  ["echo 1 | xargs ip", "a pipe into another program"],
  ["tc filter add dev d0 ingress bpf", "`tc filter`"],
  ["tc qdisc add dev d0 clsact", "queueing disciplines other than a device's root"],
  ["iptables -A FORWARD -j DROP", "`iptables`"],
  ["nft add table inet x", "`nft`"],
  ["brctl addbr br0", "`brctl`"],
  ["./other.sh", "`./other.sh`"],
  ["bash other.sh", "running another script"],
  ["ip link set $DEV up", "the value of $DEV is not known here"],
  ["ip addr add $(cat addr) dev d0", "command substitution is not imported"],
  ["if true; then ip link set d0 down; fi", "`if` is not imported"],
  ["setup() { ip link set d0 down; }", "shell functions are not imported"],
];

const SETUP = "ip link add d0 up type dummy\nip addr add 10.5.0.1/24 dev d0\n";
const BARE = printed(SETUP);

describe("lines that vrfc cannot express", () => {
  it.each(UNSUPPORTED)("%s", (line, why) => {
    const [finding, ...more] = findings(SETUP + line);
    expect(more).toEqual([]);
    expect(finding).toMatch(/^(W0501|E0501) 3: /);
    expect(finding).toContain(why);
    const text = printed(SETUP + line);
    expect(text).toContain(`${line}\n`);
    // Beside the comment nothing has changed.
    expect(text.replace(/^ *#.*\n/gm, "")).toBe(BARE);
  });

  it("are kept whole when they are many", () => {
    const block = "while read line; do\n  ip route add $line\ndone";
    expect(printed(SETUP + block)).toContain(
      "# not imported (`while` is not imported):\n# while read line; do\n#   ip route add $line\n# done\n",
    );
  });

  it("are kept where they stood", () => {
    const text = printed(
      "iptables -F\nip link add d0 up type dummy\ntc filter add dev d0 x\nip route add 10.0.0.0/8 dev d0",
    );
    expect(text).toBe(`namespace host {
  # not imported (\`iptables\`): iptables -F
  interface d0 { type dummy }

  # not imported (\`tc filter\`): tc filter add dev d0 x
  route 10.0.0.0/8 dev d0
}
`);
  });

  it("make what builds on them unsupported, not wrong", () => {
    const script =
      "ip link add br0 type bridge\nip link set d0 master br0\nip addr add 10.0.0.1/24 dev br0\nip link del br0\n";
    expect(findings(`ip link add d0 type dummy\n${script}`)).toEqual([
      "W0501 2: not imported: devices of type `bridge` are not in vrfc",
      "W0501 3: not imported: `br0` is a bridge device, which vrfc does not have",
      "W0501 4: not imported: `br0` is a bridge device, which vrfc does not have",
      "W0501 5: not imported: `br0` is not in vrfc",
    ]);
  });
});

/** A command, the words that are left out of it, and the rest. */
const LEFT_OUT: readonly (readonly [command: string, words: string, rest: string])[] = [
  ["ip link set d0 txqueuelen 500 mtu 1400", "txqueuelen 500", "ip link set d0 mtu 1400"],
  ["ip link set d0 alias uplink mtu 1400", "alias uplink", "ip link set d0 mtu 1400"],
  [
    "ip addr add 10.6.0.1/24 brd 10.6.0.77 label d0:x dev d0",
    "brd 10.6.0.77 label d0:x",
    "ip addr add 10.6.0.1/24 dev d0",
  ],
  [
    "ip route add 10.0.0.0/8 dev d0 advmss lock 1400 realms 5",
    "advmss lock 1400 realms 5",
    "ip route add 10.0.0.0/8 dev d0",
  ],
  ["ip rule add from 10.0.0.0/8 realms 1/2 lookup 7", "realms 1/2", "ip rule add from 10.0.0.0/8 lookup 7"],
  ["ifconfig d0 mtu 1400 promisc", "promisc", "ifconfig d0 mtu 1400"],
];

describe("words that vrfc has no counterpart for", () => {
  it.each(LEFT_OUT)("%s", (command, words, rest) => {
    expect(findings(SETUP + command)).toEqual([
      `W0502 3: \`${words}\` has no counterpart in vrfc; the rest of the command is imported`,
    ]);
    const text = printed(SETUP + command);
    expect(text).toContain(`# left out (${words}): ${command}`);
    const sameButComments = (policy: string) => policy.replace(/ *#.*\n/g, "").replace(/[\s;]+/g, " ");
    expect(sameButComments(text)).toBe(sameButComments(printed(SETUP + rest)));
  });
});

describe("what the script takes for granted", () => {
  it("is a device of the machine, in the root namespace", () => {
    const script = "ip addr add 10.0.0.1/24 dev eth0\nip netns add a\nip -n a link set eth0 up";
    expect(findings(script)).toEqual([
      "W0504 1: `eth0` is not created here: taken as an interface that the machine has, and up",
      'E0501 3: Cannot find device "eth0"',
    ]);
    expect(printed(script)).toContain("interface eth0 { address 10.0.0.1/24 }");
  });

  it("is no device that the script creates later", () => {
    expect(findings("ip addr add 10.0.0.1/24 dev d0\nip link add d0 type dummy")).toEqual([
      'E0501 1: Cannot find device "d0"',
    ]);
  });

  it("is forwarding, for a router", () => {
    const assumed = (script: string) => imported(script).diagnostics.some((d) => d.code === "W0505");
    const vrf = "ip link add red type vrf table 10\n";
    expect(assumed(vrf)).toBe(true);
    expect(assumed("ip link add d0 type dummy\nip link add d1 type dummy")).toBe(true);
    expect(assumed("ip link add d0 type dummy")).toBe(false);
    expect(assumed(`${vrf}sysctl -w net.ipv4.ip_forward=0`)).toBe(false);
    expect(assumed(`${vrf}echo 1 > /proc/sys/net/ipv4/conf/all/forwarding`)).toBe(false);
  });
});
