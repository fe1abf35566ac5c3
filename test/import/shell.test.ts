/** The shell reader: a script, and the commands it comes to. */
import { describe, expect, it } from "vitest";
import { readScript, type Statement } from "../../src/import/shell.ts";

const show = (statement: Statement): string => {
  switch (statement.kind) {
    case "command": {
      const redirects = statement.redirects
        .map((r) => ` ${r.fd}${r.operator}${JSON.stringify(r.target.text)}`)
        .join("");
      const when = { always: "", success: "&& ", failure: "|| " }[statement.when];
      return `${when}${statement.words.map((word) => word.text).join("|")}${redirects}${statement.pipe ? ` => ${statement.pipe.map((w) => w.text).join("|")}` : ""}`;
    }
    case "comment":
      return `#${statement.text}${statement.trailing ? " (trailing)" : ""}`;
    case "blank":
      return "";
    case "unreadable":
      return `? ${statement.why}`;
  }
};
const read = (text: string): string[] => readScript(text).map(show);

const CASES: readonly (readonly [what: string, script: string, statements: readonly string[]])[] = [
  ["words", "ip  link\tset lo up", ["ip|link|set|lo|up"]],
  ["comments and blank lines", "# one\n\nip a # two\n#three", ["# one", "", "ip|a", "# two (trailing)", "#three"]],
  ["a hash inside a word", "echo a#b", ["echo|a#b"]],
  ["quotes", `echo 'a b' "c $X d" e\\ f ''`, ["? the value of $X is not known here"]],
  ["quotes that hold", `echo 'a $b' "c \\"d" e\\ f ''`, ['echo|a $b|c "d|e f|']],
  ["continued lines", "ip link \\\n  set lo up", ["ip|link|set|lo|up"]],
  ["several on a line", "a; b && c || d & e", ["a", "b", "&& c", "|| d", "e"]],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell writes ${NAME}
  ["variables", 'NS=ns0 DEV="veth 1"\nip -n $NS link set ${DEV} up', ["ip|-n|ns0|link|set|veth|1|up"]],
  ["a quoted variable is one word", 'D="a b"; x "$D" $D', ["x|a b|a|b"]],
  ["a command in a variable", 'IP="ip -n ns0"\n$IP addr', ["ip|-n|ns0|addr"]],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell writes ${NAME}
  ["a default value", "x ${A:-b} ${A-c}", ["x|b|c"]],
  ["an unknown variable", "x $1", ["? the value of $1 is not known here"]],
  ["an unknown value assigned", "A=$(date)\nx $A\ny", ["? the value of $A is not known here", "y"]],
  [
    "for",
    "for i in 1 2; do\n  ip link add d$i type dummy # dummy\ndone",
    ["ip|link|add|d1|type|dummy", "# dummy (trailing)", "ip|link|add|d2|type|dummy", "# dummy (trailing)"],
  ],
  ["for over a range", "for i in {1..3}; do x $((i + 10)); done", ["x|11", "x|12", "x|13"]],
  ["counting in a loop", "i=1\nfor a in x y; do z $a$i; i=$((i+1)); done", ["z|x1", "z|y2"]],
  ["for over seq", "for i in $(seq 2 3); do x $i; done", ["x|2", "x|3"]],
  ["nested for", "for a in 1 2; do for b in x y; do z $a$b; done; done", ["z|1x", "z|1y", "z|2x", "z|2y"]],
  ["if", "a\nif [ -e /x ]; then\n  b\nfi\nc", ["a", "? `if` is not imported", "c"]],
  ["while and case", "while true; do case $x in a) b;; esac; done; z", ["? `while` is not imported", "z"]],
  [
    "a function",
    "f() {\n  ip link\n}\nfunction g { x; }\ny",
    ["? shell functions are not imported", "? shell functions are not imported", "y"],
  ],
  ["a subshell", "(a; b)\nc", ["? `(` is not imported", "c"]],
  ["redirects", "echo 1 > /proc/x\nip a 2>/dev/null >>f", ['echo|1 >"/proc/x"', 'ip|a 2>"/dev/null" >>"f"']],
  ["both outputs", "ip a &>/dev/null; ip b >/dev/null 2>&1", ['ip|a &>"/dev/null"', 'ip|b >"/dev/null"']],
  ["a here-document", "ip -batch - <<EOF\nlink add d0\n# c\nEOF\nx", ['ip|-batch|- <<"link add d0\\n# c"', "x"]],
  ["a pipe", "echo 1 | sudo tee /x", ["echo|1 => sudo|tee|/x"]],
  ["no newline at the end", "a", ["a"]],
  ["open quotes, braces, loops", "echo 'a\nfor i in 1; do x", ["echo|a\nfor i in 1; do x"]],
  ["an unfinished loop", "for i in 1 2; do x $i", ["x|1", "x|2"]],
];

describe("readScript", () => {
  it.each(CASES)("%s", (_, script, statements) => {
    expect(read(script)).toEqual(statements);
  });

  it("tells where each word is written", () => {
    const text = "A=lo\nip link set $A up";
    const [command] = readScript(text);
    const words = command.kind === "command" ? command.words : [];
    expect(words.map((word) => text.slice(word.span.start, word.span.end))).toEqual(["ip", "link", "set", "$A", "up"]);
    expect(words[3].text).toBe("lo");
  });

  it("does not run away with nested loops, and says so", () => {
    const nested = `${"for i in {1..300}; do ".repeat(6)}x${"; done".repeat(6)}`;
    const statements = readScript(nested);
    expect(statements.length).toBeLessThanOrEqual(20_000);
    expect(statements.at(-1)).toMatchObject({ kind: "unreadable", why: expect.stringContaining("more than 20000") });
  });

  it("reads as many lines as there are", () => {
    expect(readScript("ip route add 10.0.0.0/8 dev d0\n".repeat(30_000))).toHaveLength(30_000);
  });
});
