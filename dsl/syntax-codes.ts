/**
 * Every code that reading a text can report, with what it means at length (`vrfc check --explain CODE`). E01xx: the text
 * cannot be read there; W01xx: it can, but some words of it mean nothing here. What the checker reports is in dsl/codes.ts.
 */
const CODES_BY_NUMBER = {
  E0101: `A word stands where it cannot be understood.

Statements say their attributes as keyword and value, in any order, in the words of iproute2. A statement ends at the end of
its line or at \`;\`; a \`\\\` at the end of a line continues it on the next.`,
  E0102: `A statement ends before it is complete: the word before the end needs a value behind it.`,
  E0103: `A statement begins with a word that begins no statement here.

At the top of a file and in a namespace stand \`sysctl\`, \`vrf\`, \`interface\`, \`table\`, \`route\`, \`rule\`, \`neighbour\`, \`nexthop\`; only at
the top \`kernel\`, \`namespace\` and \`test\`. The blocks of \`vrf\` and \`interface\` hold properties, those of \`table\` routes, those of
\`test\` namespaces, pings, listeners and connections.`,
  E0104: `A statement stands in a block that it does not belong to, although it would have a meaning elsewhere.`,
  E0105: `A \`{\` is never closed. When the line that is shown looks right, a \`}\` is missing in its block further below.`,
  E0106: `A \`}\` closes nothing: there is one too many, or a \`{\` is missing above.`,
  E0107: `A statement needs a block, which begins on the same line: \`table 100 { ... }\`.`,
  E0108: `A string is not closed on its line. Strings stand in double quotes; \`\\"\`, \`\\\\\`, \`\\n\` and \`\\t\` are understood in them.`,
  E0110: `A number is not one that Linux would read the same way, or out of range.

Numbers are decimal, or hexadecimal with \`0x\`. A leading zero is refused because iproute2 reads such numbers as octal.`,
  E0111: `An address is not one.

IPv4 addresses are four decimal numbers to 255 with dots; IPv6 addresses eight groups of hexadecimal digits with colons, \`::\` for
one run of zeros. Zones (\`%eth0\`) are said with \`dev\`.`,
  E0112: `A prefix is not one: ADDRESS/LENGTH, the length to 32 (IPv4) or 128 (IPv6). An address alone is a host route.

Short forms such as \`10/8\` are refused: programs differ in how they fill them up.`,
  E0113: `A link-layer address is six bytes of two hexadecimal digits with colons: \`02:00:00:00:00:01\`.`,
  E0114: `A TOS without \`0x\`. iproute2 reads it as hexadecimal nonetheless (\`tos 10\` is 16), so write \`0x\` to be clear.`,
  E0115: `A range is FIRST-LAST, decimal, the first not behind the last; or a single number.`,
  E0116: `An IP protocol is unknown: \`icmp\`, \`tcp\`, \`udp\`, \`ipv6-icmp\`, \`gre\`, \`sctp\`, ... as in protocols(5), or a number to 255.`,
  E0117: `A nexthop group is written ID[,WEIGHT]/ID[,WEIGHT]...: \`group 1/2,3\` is nexthop 1 and, three times as often, nexthop 2.`,
  E0118: `A mark is VALUE or VALUE/MASK, each up to 0xffffffff.`,
  E0119: `An endpoint is ADDRESS:PORT, an IPv6 address in brackets: \`10.0.0.1:80\`, \`[2001:db8::1]:80\`. Where one listens, \`80\` or \`*:80\` is
the port of every address, IPv4 and IPv6.`,
  E0120: `An attribute is said twice in one statement. iproute2 refuses that, or takes the last.`,
  E0121: `Attributes contradict each other: a statement has one action, a route its next hop in one way only.`,
  E0122: `A statement lacks an attribute that it has no meaning without.`,
  E0123: `An address is of another family than the word \`inet\` or \`inet6\` before it says.`,
  W0150: `Words that \`ip\` prints to show the state of things (\`linkdown\`, \`dead\`, \`[detached]\`, \`pref medium\`, \`REACHABLE\`, ...) may stay in a
line that is pasted in. They change nothing, and \`vrfc fmt\` leaves them out.`,
} as const;

export type SyntaxCode = keyof typeof CODES_BY_NUMBER;

/** Code to explanation, in order; the first sentence says it in short. */
export const SYNTAX_CODES: ReadonlyMap<string, string> = new Map(Object.entries(CODES_BY_NUMBER));
