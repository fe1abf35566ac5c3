/** Pings become tests, and what commands add between pings what the tests add. */
import { describe, expect, it } from "vitest";
import { findings, modelOf, printed } from "./helpers.ts";

const SETUP = `ip link add red type vrf table 10
ip link set red up
ip link add d0 type dummy
ip link set d0 master red
ip link set d0 up
ip addr add 10.0.0.1/24 dev d0
`;
const NETWORK = `namespace host {
  vrf red { table 10 }
  interface d0 { type dummy; master red; address 10.0.0.1/24 }
}
`;

const CASES: readonly (readonly [what: string, script: string, tests: string])[] = [
  [
    "a ping without a comment is named after itself",
    "ping -c 1 -W1 10.0.0.2",
    'test "ping -c 1 -W1 10.0.0.2" { ping 10.0.0.2 expect reply }\n',
  ],
  [
    "the nearest comment names a test",
    "# far\n# near\nping 10.0.0.2",
    '# far\ntest "near" { ping 10.0.0.2 expect reply }\n',
  ],
  [
    "pings that follow each other are one test",
    "# both\nping 10.0.0.2\nping 10.0.0.3\n# another\nping 10.0.0.4",
    'test "both" {\n  ping 10.0.0.2 expect reply\n  ping 10.0.0.3 expect reply\n}\n\ntest "another" { ping 10.0.0.4 expect reply }\n',
  ],
  [
    "equal names are told apart",
    "ping 10.0.0.2\nip link set d0 up\nping 10.0.0.2",
    'test "ping 10.0.0.2" { ping 10.0.0.2 expect reply }\n\ntest "ping 10.0.0.2 (2)" { ping 10.0.0.2 expect reply }\n',
  ],
  [
    "options that a test has",
    "# t\nping -c1 -q -i 0.2 -I red -t 5 -m 0x10 10.0.0.2 -w 3 -n",
    'test "t" { ping 10.0.0.2 -I red -t 5 -m 0x10 expect reply }\n',
  ],
  [
    "a slash in -I is one ping each",
    "# t\nping 10.0.0.2 -I red/d0/10.0.0.1",
    'test "t" {\n  ping 10.0.0.2 -I red expect reply\n  ping 10.0.0.2 -I d0 expect reply\n  ping 10.0.0.2 -I 10.0.0.1 expect reply\n}\n',
  ],
  ["a ping that may fail expects nothing in particular", "# t\nping 10.0.0.2 || true", 'test "t" { ping 10.0.0.2 }\n'],
  ["IPv6", "# t\nping6 2001:db8::1", 'test "t" { ping 2001:db8::1 expect reply }\n'],
  [
    "additions stay until they are taken back",
    "# a\nping 10.0.0.2\n# b\nip route add 10.0.0.0/24 dev red\nip rule add pref 5 lookup 10\nping 10.0.0.2\n# c\nip route del 10.0.0.0/24\nip addr add 1.1.1.1/32 dev red\nip neigh add 10.0.0.2 lladdr 02:00:00:00:00:01 dev d0\nsysctl -w net.ipv4.conf.d0.rp_filter=1\nip link add d1 up type dummy\nping 10.0.0.2",
    `test "a" { ping 10.0.0.2 expect reply }

test "b" {
  namespace host {
    route 10.0.0.0/24 dev red
    rule 5 lookup 10
  }
  ping 10.0.0.2 expect reply
}

test "c" {
  namespace host {
    sysctl net.ipv4.conf.d0.rp_filter = 1

    vrf red { address 1.1.1.1/32 }
    interface d1 { type dummy }

    rule 5 lookup 10
    neighbour 10.0.0.2 lladdr 02:00:00:00:00:01 dev d0
  }
  ping 10.0.0.2 expect reply
}
`,
  ],
  [
    "rules can be taken away, settings overridden",
    "# a\nping 10.0.0.2\n# b\nip rule del pref 0\nip link set d0 mtu 1400\nping 10.0.0.2",
    `test "a" { ping 10.0.0.2 expect reply }

test "b" {
  namespace host {
    interface d0 { mtu 1400 }

    no rule inet 0 lookup local
  }
  ping 10.0.0.2 expect reply
}
`,
  ],
];

describe("tests from pings", () => {
  it.each(CASES)("%s", (_, script, tests) => {
    expect(findings(SETUP + script)).toEqual([]);
    expect(printed(SETUP + script)).toBe(`${NETWORK}\n${tests}`);
    expect(modelOf(SETUP + script).errors).toEqual([]);
  });

  it("are sent from the namespace of the command", () => {
    const script = "ip netns add a\nip -n a link set lo up\n# t\nip netns exec a ping 127.0.0.1";
    expect(printed(script)).toContain('test "t" { in a ping 127.0.0.1 expect reply }');
  });

  it("expect nothing when the importer is told so", () => {
    expect(printed(`${SETUP}# t\nping 10.0.0.2`, { expectReplies: false })).toContain('test "t" { ping 10.0.0.2 }');
  });

  const LOST: readonly (readonly [command: string, why: string])[] = [
    ["ip addr del 10.0.0.1/24 dev d0", "a test can add to the network of the file, but not take away from it"],
    ["ip link set d0 down", "a test cannot take a device down and lose what hung on it"],
    ["ip link set d0 nomaster", "a test cannot move or rename a device of the file"],
    ["ip link del d0", "a test can add to the network of the file, but not take away from it"],
    ["ip route replace 10.5.0.0/16 dev red", "a test can add to the network of the file, but not take away from it"],
    ["ip route del 10.0.0.0/24 table 10", "a test cannot take away the route of an address"],
    ["ip netns add later", "a test cannot add a namespace"],
  ];
  it.each(LOST)("report what they cannot express: %s", (command, why) => {
    const script = `${SETUP}ip route add 10.5.0.0/16 dev d0\n# a\nping 10.0.0.2\n# b\n${command}\nping 10.0.0.2`;
    expect(findings(script)).toEqual([`W0503 11: not in the tests that follow: ${why}`]);
    const text = printed(script);
    expect(text).toContain(`# not imported (${why}): ${command}\ntest "b" { ping 10.0.0.2 expect reply }`);
    expect(modelOf(script).errors).toEqual([]);
  });

  it("report a ping to a name, from a device that is not there, and without a destination", () => {
    expect(findings(`${SETUP}ping example.org\nping 10.0.0.2 -I d9\nping -c 1`)).toEqual([
      "W0501 7: not imported: `example.org` is a name, and vrfc has no resolver",
      "E0501 8: ping: SO_BINDTODEVICE d9: No such device",
      "E0501 9: ping: usage error: Destination address required",
    ]);
  });
});
