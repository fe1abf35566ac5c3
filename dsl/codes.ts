/**
 * Every code the checker can report, with what it means at length (`vrfc check --explain CODE`). E: the text has no meaning
 * as it stands; W: it has, but probably not the one intended (shown as a warning or a note). 02xx devices and addresses,
 * next hops and routes, rules, tests in that order; 03xx remarks.
 */
import { CHAIN_CODES } from "./chain-codes.ts";

const CODES_BY_NUMBER = {
  E0200: `The kernel profile is unknown or chosen twice.

Linux answers some questions differently from release to release. A file chooses whose answers it wants with
\`kernel "5.4"\` (releases up to 5.17), \`kernel "6.1"\` (5.18 to 6.14, the default) or \`kernel "6.15"\` (and later).`,
  E0201: `A namespace is named that the file does not have.

Namespaces come into being by \`namespace NAME { ... }\`; what stands outside of any belongs to \`host\`. Wires (\`peer\`),
tests and pings can only name namespaces that exist.`,
  E0202: `A device is named that its namespace does not have.

Every namespace has \`lo\`; all other devices are written as \`interface NAME { ... }\` or \`vrf NAME { ... }\`. Devices of other
namespaces cannot be named, except after \`peer\`.`,
  E0203: `A VRF is named that its namespace does not have. A VRF is written \`vrf NAME { table N }\`.`,
  E0204: `A device is used as a VRF but is none.

\`master\` and \`vrf\` name a VRF device: \`vrf NAME { table N }\`. Bridges, bonds and teams are not modelled.`,
  E0205: `A routing table is neither a number nor a name.

Tables are numbers from 1 to 4294967295. \`local\` (255), \`main\` (254) and \`default\` (253) have names, and the name of a VRF
stands for the VRF's table.`,
  E0206: `A scope is unknown. Scopes say how near something is: \`global\`, \`site\`, \`link\`, \`host\`, \`nowhere\`, or their numbers
0, 200, 253, 254, 255.`,
  E0207: `A routing protocol is unknown: the names are those of rt_protos(5) (\`kernel\`, \`boot\`, \`static\`, \`bgp\`, ...), or a number
to 255.`,
  E0208: `A device is defined twice in one namespace.

Say everything about a device in one block. Only \`lo\`, which is always there, and the devices that a test adds to can be
opened again.`,
  E0209: `A device name that Linux does not accept: 1 to 15 characters, no \`/\`, no \`:\`, no blanks, and not \`.\` or \`..\``,
  E0210: `A property that has one value is said twice in one device block. Addresses can be many, everything else is one.`,
  E0211: `A fixed interface index is out of range or taken.

\`index N\` fixes the number that the kernel knows the device by (1 to 2147483647). \`lo\` always has 1. Devices without \`index\`
are numbered in text order around the fixed ones.`,
  E0212: `A device type is not modelled. An interface is \`type veth\` (the default: one end of a wire) or \`type dummy\` (swallows what
is sent to it). A VRF is written \`vrf NAME { table N }\`.`,
  E0213: `\`lo\` cannot become a VRF's slave. The VRF device plays the part of the loopback device inside the VRF: give addresses that
belong to the VRF as a whole to it.`,
  E0214: `A property has no meaning for this kind of device: a table belongs to a VRF, a peer to a veth, and \`lo\` is what it is.`,
  E0215: `An MTU is out of the range that the kind of device allows: 68 to 65535 for veth, 1280 to 65575 for a VRF.`,
  E0216: `A link-layer address that no device can have: a group address (lowest bit of the first byte set) or all zero.`,
  E0217: `A VRF without a table. A VRF *is* a routing table with devices around it: \`vrf red { table 10 }\`.`,
  E0218: `A VRF's table is 0, which the kernel uses for "none". Tables are 1 to 4294967295.`,
  E0219: `A VRF cannot be a slave of another VRF. To lead packets from one VRF into another use a route with a device of the other
VRF, or policy rules.`,
  E0220: `A wire joins two veth devices; the named end is something else, or the device itself.`,
  E0221: `The ends of a wire disagree.

\`peer NAMESPACE DEVICE\` may be said at either end or at both; when at both, they must name each other, and each device has one
wire only.`,
  E0222: `The value of a sysctl is not a number, or out of the range that the kernel accepts.`,
  E0223: `Two VRFs share a table although \`net.vrf.strict_mode\` is 1, which makes the kernel refuse the second. Without strict mode
sharing is allowed.`,
  E0224: `An address that the device cannot have: unspecified, multicast (IPv6), \`::1\` elsewhere than on \`lo\`, or IPv6 where
\`disable_ipv6\` is set.`,
  E0225: `A point-to-point address and its peer are of different families.`,
  E0226: `Addresses of one subnet on one device share their scope; the kernel refuses the later one otherwise.`,
  E0227: `The device already has this address.

IPv4 compares address and prefix length, IPv6 the address alone. Remember that every device that is up has a link-local IPv6
address made from its link-layer address.`,
  E0230: `The weight of a next hop in a multipath route is 1 to 256.`,
  E0231: `A route of this type leads to a next hop: say \`via ADDRESS\`, \`dev DEVICE\` or both. Routes that lead nowhere on purpose are
\`blackhole\`, \`unreachable\`, \`prohibit\` and \`throw\`.`,
  E0232: `\`onlink\` says: this gateway is on the link of this device, whatever the routes say. So it needs a gateway, a device, and a
route that is not itself nearer than a link.`,
  E0233: `An IPv6 next hop through a device on which IPv6 is switched off (\`disable_ipv6\`).`,
  E0234: `A route through a device that is down. Linux refuses it, and forgets the routes of a device that goes down. Take \`down\`
away, or leave the route out.`,
  E0235: `IPv6 routes have IPv6 gateways. (The other way round, an IPv4 route \`via inet6 ADDRESS\`, is possible.)`,
  E0236: `The gateway cannot be reached over a link.

A gateway must lie on a link, that is, a route of scope \`link\` (usually the connected route of an address) must lead to it: in
the route's own table, else by the policy rules. A frequent cause in a network with VRFs: the gateway is in a VRF and the route
in \`main\`, which does not know the VRF's connected routes. Then name the device (\`dev\`), route in the VRF's table
(\`vrf NAME\`), or say \`onlink\`.`,
  E0237: `A link-local gateway without a device: every link has its own fe80::/64, so \`dev\` must say which is meant.`,
  E0238: `\`lo\` has no link, so no gateway can be behind it.`,
  E0239: `The gateway is an address of this host itself. (IPv4 accepts that, and takes the route for a direct one; IPv6 refuses.)`,
  E0240: `A prefix and the \`inet\` or \`inet6\` before it do not agree.`,
  E0241: `A route type is unknown: unicast, local, broadcast, anycast, multicast, blackhole, unreachable, prohibit, throw.`,
  E0242: `A route is said to be in two different tables: by the block that it stands in, by \`table\`, or by \`vrf\`. One is enough.`,
  E0243: `The scope does not fit the type: a \`local\` route has scope host; broadcast and anycast at least link; a scope nearer than
host leads nowhere.`,
  E0244: `A prefix length is longer than an address: at most 32 for IPv4, 128 for IPv6.`,
  E0245: `The prefix has bits set beyond its length, so it is no network. IPv4 refuses that; IPv6 drops the bits.`,
  E0246: `A TOS that a route cannot have: IPv6 routes have none, and the two ECN bits (0x03) never belong to it.`,
  E0247: `Routes of type blackhole, unreachable, prohibit and throw send nothing anywhere, so IPv4 refuses a gateway or device.`,
  E0248: `A route of scope host (as every \`local\` route) ends on this host: one device, no gateway, no multipath.`,
  E0249: `A route has its next hop by \`nhid\` or in words, not both.`,
  E0250: `A nexthop object is used before it is defined. Routes and nexthops count in text order, as if entered line by line.`,
  E0251: `An IPv6 route uses an IPv4 nexthop object.`,
  E0252: `\`src\` is of another family than the route.`,
  E0253: `\`src\` is not an address of this host, or not one that the route's table (or \`local\`) knows as local. In a VRF the address
must belong to the VRF device or one of its slaves.`,
  E0254: `The table already has this route.

A route is identified by table, prefix, TOS and metric. Connected routes that the kernel makes for addresses count as well:
they have metric 0 (IPv4) or 256 (IPv6).`,
  E0255: `The file of a \`routes from\` cannot be read.`,
  E0256: `A line of a \`routes from\` file is not a route: \`[TYPE] PREFIX [via ADDRESS] [dev DEVICE] [metric N] ...\`.`,
  E0257: `Every next hop of an IPv6 multipath route has a gateway; a device alone can only be the one next hop of a route.`,
  E0260: `IPv4 and IPv6 have separate rule lists; a rule belongs to one. Only the \`l3mdev\` rule without addresses is added to both.`,
  E0261: `A number is out of the range that the kernel accepts.`,
  E0262: `A range of ports or user ids: \`FIRST-LAST\`, the first not behind the last; ports 1 to 65534.`,
  E0263: `A TOS that no rule can select. IPv4 compares bits 0x1c only and accepts up to 0x1e without the ECN bits; IPv6 compares all six
DSCP bits.`,
  E0264: `An \`l3mdev\` rule looks up the table of the packet's VRF, so it has no table of its own.`,
  E0265: `\`goto\` leads forward only, so that rules cannot loop.`,
  E0266: `The very same rule is there already.

The kernel compares preference, action, table and the selectors. Two surprises are kept as they are: addresses and TOS are only
compared when the *new* rule has them, and neither \`not\` nor the target of a \`goto\` is compared.`,
  E0267: `\`no rule\` takes away the first rule that has everything that is said; there is none.`,
  E0270: `Nexthop ids are 1 to 4294967295.`,
  E0271: `A nexthop id is defined twice.`,
  E0272: `A nexthop object has a device (and possibly a gateway), or is a blackhole, or a group.`,
  E0273: `A nexthop cannot be in this group: it is not defined above, is a group itself, is a blackhole beside others, or has a weight
outside 1 to 255.`,
  E0280: `A neighbour entry for this address on this device is there already.`,
  E0290: `A TTL is 1 to 255.`,
  E0291: `A source address is of another family than its destination.`,
  E0292: `What a test expects cannot come: \`unreachable\` knows net, host, prohibited; \`error\` the names of errno(3); a TCP connection is
\`connected\`, a UDP datagram gets a \`reply\`; packets are dropped by chains, programs and rules that there are.`,
  E0293: `\`connect\` needs an address to connect to.`,
  W0301: `The kernel has no sysctl of this name, so it has no effect. vrfc knows those that matter for routing and forwarding, and
passes over the other existing ones in silence.`,
  W0303: `A rule names a device that does not exist. Linux accepts that and waits for the device (\`[detached]\`): until then the rule
never matches.`,
  W0304: `The rule can never match on the chosen kernel.

From 5.18 to 6.14 the look-up of a forwarded IPv4 packet carries the index of the slave it came in by, so \`iif VRF\` and
\`oif VRF\` never match; before 5.18 it was the other way round; since 6.15 both match.`,
  W0310: `A VRF without a default route leaks.

When a VRF's table has no route for a destination, the look-up goes on with the next rule, usually \`main\`: packets leave the VRF
by the host's own default route. An unreachable default route of the last metric ends the look-up in the VRF:

    route unreachable default vrf red metric 4278198272`,
  W0311: `A VRF device that is down forwards for its slaves, but the host can send nothing in the VRF, not even replies and ICMP
errors.`,
  W0312: `Two tests have the same name.`,
  ...CHAIN_CODES,
} as const;

export type CheckCode = keyof typeof CODES_BY_NUMBER;

/** Code to explanation, in order. The first line (or sentence) says it in short. */
export const CHECK_CODES: ReadonlyMap<string, string> = new Map(Object.entries(CODES_BY_NUMBER));
