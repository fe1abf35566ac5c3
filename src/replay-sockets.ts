/** Exchanges of a scenario: servers in its namespaces, and a client that connects to them. */
import type { ConnectOptions, ConnectOutcome } from "../runtime/host/sockets/client.ts";
import type { Lab } from "../runtime/lab/lab.ts";
import { formatIp, parseIp } from "../runtime/net/ip.ts";
import { Errno, nameOf } from "../runtime/verdict.ts";
import { ROOT } from "./import/state.ts";
import type { ClientAnswer, Exchange, ExchangeAnswer, SocketCall } from "./scenario.ts";

/** @param lab that nothing listens in yet */
export function answerExchange(lab: Lab, { servers = [], client }: Exchange): ExchangeAnswer {
  const calls = [...servers, ...(client === undefined ? [] : [client])];
  const fault = calls.map((call) => callFault(lab, call)).find((why) => why !== null);
  if (fault !== undefined) return { unsupported: fault };
  const listening = servers.map((call) => new Server(lab, call));
  const came = client && lab.connect(netOf(lab, client), { ...callOptions(lab, client), ...connectTo(client) });
  return {
    servers: listening.map(({ error }) => (error === null ? {} : { error })),
    ...(came && { client: clientAnswer(came.outcome) }),
    heard: listening.flatMap((server) => server.heard),
  };
}

type Heard = NonNullable<ExchangeAnswer["heard"]>;

class Server {
  readonly error: string | null;
  readonly #lab: Lab;
  readonly #net: number;
  readonly #port: number;
  readonly #received: () => readonly { readonly from: string; readonly device: number }[];

  constructor(lab: Lab, call: SocketCall) {
    this.#lab = lab;
    this.#net = netOf(lab, call);
    this.#port = call.port;
    const { sockets } = lab.hosts[this.#net];
    const address = call.address === "*" ? null : parseIp(call.address);
    const server = sockets.listen({ ...callOptions(lab, call), address });
    this.error = "kind" in server ? nameOf(Errno, server.errno) : null;
    this.#received = () => {
      if ("kind" in server) return [];
      if ("received" in server)
        return server.received.map(({ from, pktinfoDevice }) => ({ from: formatIp(from), device: pktinfoDevice }));
      const ours = sockets.accepted.filter(({ localPort }) => localPort === this.#port);
      return ours.map(({ remote, device }) => ({ from: formatIp(remote.address), device }));
    };
  }

  get heard(): Heard {
    const { name, devices } = this.#lab.nets[this.#net];
    const deviceName = (ifindex: number) => devices.find((device) => device.ifindex === ifindex)?.name ?? null;
    const ns = name === ROOT ? "." : name;
    return this.#received().map(({ from, device }) => ({ ns, from, device: deviceName(device) }));
  }
}

function callFault(lab: Lab, { ns = ".", address, device, source }: SocketCall): string | null {
  const net = lab.netNamed(ns === "." ? ROOT : ns);
  if (net < 0) return `no namespace ${ns}`;
  if (device !== undefined && lab.hosts[net].device(device) === undefined) return `no device ${device}`;
  const addresses = [address === "*" ? "::" : address, ...(source === undefined ? [] : [source])].map(parseIp);
  if (addresses.includes(null)) return "an address that is none";
  const isMixed = address !== "*" && addresses.some((other) => typeof other !== typeof addresses[0]);
  return isMixed ? "addresses of two families" : null;
}

const netOf = (lab: Lab, { ns = "." }: SocketCall): number => lab.netNamed(ns === "." ? ROOT : ns);

function callOptions(lab: Lab, call: SocketCall) {
  const { transport, port, device } = call;
  const bound = device === undefined ? undefined : lab.hosts[netOf(lab, call)].device(device)?.ifindex;
  return { transport, port, device: bound };
}

const connectTo = ({ address, source }: SocketCall): Pick<ConnectOptions, "address" | "source"> => ({
  address: parseIp(address) ?? 0,
  source: (source === undefined ? null : parseIp(source)) ?? undefined,
});

function clientAnswer(outcome: ConnectOutcome): ClientAnswer {
  switch (outcome.kind) {
    case "reply":
      return { outcome: "reply", from: formatIp(outcome.from) };
    case "icmp":
      return { outcome: "icmp", from: formatIp(outcome.from), type: outcome.type, code: outcome.code };
    case "error":
      return { outcome: "error", call: outcome.call, error: nameOf(Errno, outcome.errno) };
    default:
      return { outcome: outcome.kind };
  }
}
