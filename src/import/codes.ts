/**
 * Every code the importer can report, with what it means at length (`vrfc check --explain CODE`). E: Linux would refuse
 * the command; W: it is not in the result, or not as it stands (a warning), or the result assumes something (a note).
 */
export const IMPORT_CODES = {
  E0501: `A command of the script fails where it stands.

Commands are run in order against what a kernel would hold at that point. This one Linux (or the tool itself) refuses: the
object is there already, a device or a gateway is missing or down, a word is not understood. The words of the refusal are
quoted. The command has no effect, as on a real machine, and is kept as a comment. Where the script itself expects that the
command may fail (\`|| true\`, \`2>/dev/null\`), this is a note.`,
  W0501: `A line that vrfc cannot express.

Devices of other types, firewall rules of \`iptables\`, parts of nftables rule sets that need what vrfc does not have, traffic control, conditions and functions of the shell, and programs that vrfc does not
know. The line is kept as a comment where it stood.`,
  W0502: `Some words of a command have no counterpart in vrfc (\`txqueuelen\`, \`realms\`, a label).

The rest of the command is imported; the words that were left out are named in a comment.`,
  W0503: `A change after the first ping that a test cannot express.

The network of the file is the one at the first ping; what the script does after it becomes what a test adds. A test can add
devices, addresses, routes, rules and settings and take away rules, but not take away anything else. The tests after this
line run without the change.`,
  W0504: `A device that the script uses and does not create.

It is taken as an interface that the machine has, and as up. (In a namespace that the script has created there is nothing that
the script has not created, so there this is an error.)`,
  W0505: `The script never says whether the machine forwards.

Linux does not forward unless \`net.ipv4.ip_forward\` is set. A script that builds a router without ever mentioning the setting
is taken to run on a machine where it is set, and the result says so. \`vrfc import --no-assume-forwarding\` leaves it out.`,
  W0506: `Something that a dump of a live machine does not say, or says and vrfc does not have.

What \`ip -j\` prints holds no settings, no answers to neighbour discovery that last, nothing of devices in namespaces that were not
dumped, and devices of kinds that vrfc takes as plain interfaces. The message says what was taken instead.`,
} as const;

export type ImportCode = keyof typeof IMPORT_CODES;
