/** What the checks of chains, programs, sets and maps report (dsl/check/chains.ts), with what it means at length. */
export const CHAIN_CODES = {
  E0400: `A chain or program does not fit its hook.

A base chain says \`type filter hook HOOK priority N; policy accept;\`. Hooks of the families ip, ip6 and inet are \`prerouting\`, \`input\`,
\`forward\`, \`output\` and \`postrouting\`; those of family netdev are \`ingress\` and \`egress\`, with \`device NAME\`. Priorities are numbers, or
\`raw\` (-300), \`mangle\` (-150), \`dstnat\` (-100, prerouting), \`filter\` (0), \`security\` (50) and \`srcnat\` (100, postrouting), with an offset
if need be. Chains of type \`nat\` need connection tracking, which there is none of. 

Programs stand on \`xdp\`, \`tc ingress\` or \`tc egress\`. There is one XDP program a device, and only on devices that frames come in by
from outside: veth and dummy. tc programs stand on all devices, any number of them, in the order of \`priority N\` (1 to 65535).`,
  E0401: `A field is unknown. Fields are those of nft(8): \`ip saddr\`, \`tcp dport\`, \`meta mark\`, \`fib daddr type\`, \`@th,16,16\`, ...`,
  E0402: `A constant is not one of the type that stands on its left. Types and their symbols are nft's; \`nft describe TYPE\` lists them.`,
  E0403: `Two things that do not go together: types, operators, sets and maps.`,
  E0404: `No packet can have both. A rule that has tested for one protocol cannot read the header of another.`,
  E0405: `A set, map, counter or limit is named that its table does not have.`,
  E0406: `\`jump\` and \`goto\` lead to chains of the same table that have no hook.`,
  E0407: `Chains must not lead in a circle, nor deeper than 15 jumps from a base chain (\`goto\` counts): that is how Linux knows that every
packet is done with some time.`,
  E0408: `The elements of a set or map do not fit its type, or overlap.

Ranges and prefixes need \`flags interval\`. In maps and named sets overlapping elements contradict each other; between braces in a rule
overlapping elements of a set are joined.`,
  E0409: `A field has no value at this hook.

Which device a packet leaves by is known from \`forward\` and \`output\` on: the look-up decides it. Which device it came in by is not known
of packets that the host makes itself. \`fib\` asks for routes of incoming packets at prerouting, input and forward; programs look up none. An XDP program sees the bytes of a frame and
the device that it came in by, nothing else: no mark, priority, packet type, group or socket.`,
  E0410: `A statement has no meaning at this place.

\`dup\` and \`fwd\` belong to netdev hooks, \`reject\` to all hooks of the IP layer but postrouting, PASS, DROP, TX, REDIRECT and ABORTED to XDP
programs, OK, SHOT and REDIRECT to tc programs, and to chains that nothing but such programs lead to. In a chain that several lead to,
\`accept\` is PASS or OK, and \`drop\` is DROP or SHOT.`,
  E0411: `A verdict ends its rule: what stands behind it would never be done.`,
  E0412: `A name is given twice in one table, or is longer than Linux takes (255 bytes).`,
  E0413: `A declaration is incomplete or contradicts itself: sets have \`type KEY\`, maps \`type KEY : VALUE\`, limits \`rate N/second\`.`,
  E0414: `Known to nftables, but not supported: what needs connection tracking (\`nat\`, \`ct\` but \`ct state\`), time (\`timeout\`, \`dynamic\` sets), or
families other than ip, ip6, inet and netdev.`,
  W0420: `A rule takes every packet, so those below it in the chain see none.`,
  W0421: `A rule names a device that the namespace does not have. Linux accepts that; until there is one of that name the match never holds.`,
  W0422: `A chain without a hook that no rule leads to does nothing.`,
  W0423: `\`log\` has no groups, lengths and flags here: what is logged goes to the host, which shows what it likes of the packet. The words
are kept.`,
} as const;
