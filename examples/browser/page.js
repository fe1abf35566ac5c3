/**
 * Loads the compiled seed, wires its namespaces together as its interfaces say, and runs what is typed: pings, and changes of routes. What
 * `?run=NAMESPACE: COMMAND` says, once or several times, is run at the start.
 */
import { createLab, Entry, load, ManifestError, parseIp, RouteError, Verdict } from "../../dist/runtime/index.js";
import { walk } from "./walk.js";

const EXAMPLES = [
  ["ns0", "ping 10.0.1.7"],
  ["ns0", "ping 10.0.0.1"],
  ["host", "ping 10.0.0.7 -I vrf"],
  ["host", "ping 10.0.0.7 -I vethr1"],
  ["host", "ping 10.0.0.7"],
  ["ns0", "ping 10.9.9.9"],
  ["host", "ip route add 10.9.0.0/16 via 10.0.1.7 table 100"],
];

/** RT_SCOPE_LINK: addresses that are of one link alone are not shown. */
const LINK = 253;

const at = (id) => document.getElementById(id);
const element = (tag, attributes, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};

const [dataplane, text] = await Promise.all([
  load(fetch("seed.wasm")),
  fetch("../seed.vrf").then((response) => response.text()),
]).catch((error) => {
  const what =
    error instanceof ManifestError
      ? "compile it first: vrfc compile examples/seed.vrf -o examples/browser/seed.wasm"
      : "";
  at("output").textContent = `${error.message}\n${what}`;
  throw error;
});
const { nets } = dataplane.manifest;
const lab = createLab(nets.map((config, i) => ({ config, engine: dataplane.nets[i] })));
const lineOf = (offset) => text.slice(0, offset).split("\n").length;

function showNetwork() {
  for (const { name, devices } of nets) {
    const shown = devices.filter(
      ({ kind, addresses }) => kind !== "loopback" || addresses.some(({ scope }) => scope < LINK),
    );
    const lines = shown.map(({ name: device, addresses, master }) => {
      const vrf = devices.find(({ ifindex }) => ifindex === master)?.name;
      const words = addresses
        .filter(({ scope }) => scope < LINK)
        .map(({ address, prefixLength }) => `${address}/${prefixLength}`);
      return element(
        "code",
        {},
        element("b", {}, device),
        ` ${[...words, vrf && `master ${vrf}`].filter(Boolean).join(" ")}`,
      );
    });
    at("network").append(element("div", { className: "net" }, element("h2", {}, name), ...lines));
    at("net").append(element("option", { value: name, selected: name === "ns0" }, name));
  }
  for (const line of text.trimEnd().split("\n"))
    at("policy").append(element("span", { className: line.trim().startsWith("#") ? "comment" : "" }, `${line}\n`));
  for (const [name, command] of EXAMPLES) {
    const onclick = () => {
      type(name, command);
      run();
    };
    at("examples").append(element("button", { type: "button", onclick }, `${name}: ${command}`));
  }
}

function type(net, command) {
  at("net").value = net;
  at("command").value = command;
}

/** Marks a line of the policy, and brings it into sight; null: none. */
function showLine(line) {
  for (const span of at("policy").querySelectorAll(".shown")) span.classList.remove("shown");
  const span = line === null ? undefined : at("policy").children[line - 1];
  span?.classList.add("shown");
  span?.scrollIntoView({ block: "nearest" });
}

function run() {
  const net = lab.netNamed(at("net").value);
  const command = at("command").value.trim();
  showLine(null);
  at("walk").replaceChildren();
  at("output").textContent = /^ip\s+route\s/.test(command) ? changeRoute(net, command) : ping(net, command);
}

function changeRoute(net, command) {
  try {
    dataplane.routes(net).run(command);
    return "done: the next packet sees it";
  } catch (error) {
    if (error instanceof RouteError || error instanceof TypeError || error instanceof RangeError) return error.message;
    throw error;
  }
}

function ping(net, command) {
  const [, address, , device] = /^ping\s+(\S+)(\s+-I\s+(\S+))?$/.exec(command) ?? [];
  const destination = address === undefined ? null : parseIp(address);
  if (destination === null) return "say: ping ADDRESS [-I DEVICE], or: ip route add|del|replace ...";
  const { stdout, stderr, events } = lab.ping(net, { destination, device, timeout: 1 });
  for (const event of events) if (event.kind === "packet" && isOnTheWay(event)) at("walk").append(packetCard(event));
  return `${stdout}${stderr}`.trim();
}

/** Not a connect() that only asks for the route, nor ARP. */
const isOnTheWay = ({ entry, verdict }) => entry !== Entry.LOOKUP && verdict !== Verdict.PASS;

function packetCard({ net, description, device, trace }) {
  const from = nets[net].devices.find(({ ifindex }) => ifindex === device);
  const heading = element("h3", {}, `${nets[net].name}: ${description} `, element("small", {}, from ? from.name : ""));
  const steps = walk(trace, nets[net], lineOf).map(({ title, detail, line, end, inner }) => {
    const className = ["step", inner ? "inner" : "", end ?? ""].join(" ");
    const place = line === null ? "" : `, line ${line}`;
    const made = element("div", { className }, element("span", {}, title), element("span", {}, detail + place));
    if (line !== null) {
      made.dataset.line = line;
      made.onclick = () => showLine(line);
    }
    return made;
  });
  return element("article", { className: "packet" }, heading, ...steps);
}

at("prompt").onsubmit = (event) => {
  event.preventDefault();
  run();
};
showNetwork();
const asked = new URLSearchParams(location.search).getAll("run").map((each) => /^(\S+):\s*(.*)$/.exec(each));
for (const [, net, command] of asked.filter((match) => match !== null)) {
  type(net, command);
  run();
}
if (asked.length === 0) run();
