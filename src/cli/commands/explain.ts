/** `vrfc explain FILE PACKET`: one packet, its walk through one namespace, and what decided. */
import { type Device, deviceNamed, type Model, type Net } from "../../../dsl/model.ts";
import type { Engine } from "../../../runtime/engine.ts";
import { describe } from "../../../runtime/net/describe.ts";
import { ETHERNET_HEADER_BYTES, EtherType, ethernetFrame } from "../../../runtime/net/ethernet.ts";
import { IcmpType, icmpMessage } from "../../../runtime/net/icmp.ts";
import { Icmp6Type, icmp6Message } from "../../../runtime/net/icmp6.ts";
import type { Ip, Ipv6 } from "../../../runtime/net/ip.ts";
import { IpProtocol, ipv4Packet } from "../../../runtime/net/ipv4.ts";
import { ipv6Packet } from "../../../runtime/net/ipv6.ts";
import { TcpFlag, tcpSegment } from "../../../runtime/net/tcp.ts";
import { udpDatagram } from "../../../runtime/net/udp.ts";
import type { Trace } from "../../../runtime/trace.ts";
import { Entry, nameOf, Verdict } from "../../../runtime/verdict.ts";
import { type EngineKind, openEngines } from "../../engines.ts";
import { counterLines, renderCounters } from "../../walk/counters.ts";
import { renderWalk } from "../../walk/render.ts";
import { walk } from "../../walk/walk.ts";
import { painter } from "../colour.ts";
import { EXIT, UsageError } from "../io.ts";
import { type PacketSpec, parsePacketSpec } from "../packet-spec.ts";
import { colourOption, engineOption, modelOf, namespaceNamed, type PolicyOptions } from "../policy.ts";

export interface ExplainOptions extends PolicyOptions {
  readonly namespace?: string;
  readonly engine: string;
  readonly json?: boolean;
}

export async function run(file: string, text: string, options: ExplainOptions): Promise<number> {
  const spec = parsePacketSpec(text);
  const kind: EngineKind = engineOption(options.engine);
  const paint = painter(colourOption(options.color));
  const model = modelOf(file, options);
  if (model === null) return EXIT.FINDINGS;
  const net = namespaceOf(model, spec, options.namespace);
  const device = deviceOfSpec(net, spec);
  const engine = (await openEngines(model, kind))[net.index];
  knowTheWires(model, net, engine);
  const packet = ipPacket(spec);
  const { trace, verdict } = judge(engine, spec, device, packet);
  const steps = walk(trace, net, model.source);
  const counters = counterLines(net, engine.readCounters(), model.source);
  if (options.json) {
    const report = {
      schema: "vrfc.explain/1",
      kernel: model.kernel,
      namespace: net.name,
      engine: engine.name,
      packet: describe(packet),
      verdict,
      steps,
      counters,
    };
    console.log(JSON.stringify(report, null, 2));
  } else {
    console.log(paint.faint(`kernel ${model.kernel}, namespace ${net.name}: ${text.trim()}`));
    process.stdout.write(renderWalk(steps, paint) + renderCounters("      counters", counters, paint));
  }
  return EXIT.OK;
}

function namespaceOf(model: Model, spec: PacketSpec, name: string | undefined): Net {
  if (name !== undefined) return namespaceNamed(model, name);
  if (spec.device === "") return namespaceNamed(model, "host");
  const having = model.nets.filter((net) => deviceNamed(net, spec.device) !== undefined);
  if (having.length === 1) return having[0];
  if (having.length > 1)
    throw new UsageError(
      `${having.map((net) => net.name).join(" and ")} have a device \`${spec.device}\`: say which with --namespace`,
    );
  const devices = model.nets.flatMap((net) => net.devices.map((d) => d.name));
  throw new UsageError(`no device \`${spec.device}\`; there are ${[...new Set(devices)].join(", ")}`);
}

function deviceOfSpec(net: Net, spec: PacketSpec): Device | null {
  if (spec.device === "") return null;
  const device = deviceNamed(net, spec.device);
  if (device === undefined) throw new UsageError(`namespace ${net.name} has no device \`${spec.device}\``);
  return device;
}

/** Neighbours at the other end of this file's wires are known, as they are after a first packet. */
function knowTheWires(model: Model, net: Net, engine: Engine): void {
  for (const device of net.devices) {
    const peer = device.peer && model.nets[device.peer.net].devices.find((d) => d.ifindex === device.peer?.ifindex);
    for (const address of peer?.addresses ?? [])
      engine.setNeighbour(device.ifindex, address.prefix.address, peer?.mac ?? null);
  }
}

function ipPacket(spec: PacketSpec): Uint8Array {
  const { source, destination, protocol, tos, ttl } = spec;
  const payload = transport(spec, source, destination);
  if (typeof source === "bigint" || typeof destination === "bigint") {
    const header = { trafficClass: tos, flowLabel: 0, nextHeader: protocol, hopLimit: ttl };
    return ipv6Packet({ ...header, source: source as Ipv6, destination: destination as Ipv6 }, payload);
  }
  return ipv4Packet({ tos, identification: 0, dontFragment: true, ttl, protocol, source, destination }, payload);
}

function transport(spec: PacketSpec, source: Ip, destination: Ip): Uint8Array {
  const data = new Uint8Array(spec.length);
  const ports = { sourcePort: spec.sport, destinationPort: spec.dport };
  switch (spec.protocol) {
    case IpProtocol.ICMP:
      return icmpMessage({ type: IcmpType.ECHO, code: 0, rest: 0x10001, data });
    case IpProtocol.ICMPV6: {
      const echo = { type: Icmp6Type.ECHO_REQUEST, code: 0, rest: 0x10001, data };
      return typeof source === "bigint" && typeof destination === "bigint"
        ? icmp6Message(echo, source, destination)
        : icmpMessage(echo);
    }
    case IpProtocol.UDP:
      return udpDatagram({ ...ports, data }, source, destination);
    case IpProtocol.TCP:
      return tcpSegment(
        { ...ports, sequence: 1, acknowledgment: 0, flags: TcpFlag.SYN, window: 65535, data },
        source,
        destination,
      );
    default:
      return data;
  }
}

function judge(
  engine: Engine,
  spec: PacketSpec,
  device: Device | null,
  packet: Uint8Array,
): { trace: Trace; verdict: string } {
  const batch = engine.createBatch(1, ETHERNET_HEADER_BYTES + packet.length + 256);
  const meta = { device: device?.ifindex ?? 0, mark: spec.mark, uid: spec.uid };
  if (spec.direction === "out") batch.put(packet, { entry: Entry.OUTPUT, ...meta });
  else batch.put(frame(packet, device as Device), { entry: Entry.RECEIVE, ...meta });
  const [trace] = engine.trace(batch);
  return { trace, verdict: nameOf(Verdict, batch.column("verdict")[0]) };
}

/** From a neighbour whose address does not matter, to the device. */
const frame = (packet: Uint8Array, device: Device): Uint8Array =>
  ethernetFrame(
    {
      destination: device.mac,
      source: 0x020000fffffe,
      type: packet[0] >>> 4 === 6 ? EtherType.IPV6 : EtherType.IPV4,
    },
    packet,
  );
