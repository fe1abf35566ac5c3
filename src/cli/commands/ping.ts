/** `vrfc ping FILE ADDRESS`: what iputils ping would do in that network, with every namespace's walk. */
import { parseIp } from "../../../dsl/address.ts";
import { deviceNamed, type Net } from "../../../dsl/model.ts";
import { familyOf, type Ip } from "../../../runtime/net/ip.ts";
import { openEngines } from "../../engines.ts";
import { labOf } from "../../lab.ts";
import { outcomeWords } from "../../test-run.ts";
import { counterLines, renderCounters } from "../../walk/counters.ts";
import { renderStory, story } from "../../walk/story.ts";
import { painter } from "../colour.ts";
import { EXIT, UsageError } from "../io.ts";
import { colourOption, engineOption, modelOf, namespaceNamed, numberOption, type PolicyOptions } from "../policy.ts";

export interface PingCommandOptions extends PolicyOptions {
  readonly from: string;
  readonly interface?: string;
  readonly ttl?: string | number;
  readonly mark?: string | number;
  readonly engine: string;
  readonly json?: boolean;
}

/** @returns exit status 0 when a reply came, as ping has it */
export async function run(file: string, address: string, options: PingCommandOptions): Promise<number> {
  const kind = engineOption(options.engine);
  const paint = painter(colourOption(options.color));
  const ttl = options.ttl === undefined ? undefined : numberOption("ttl", options.ttl, 1, 255);
  const mark = options.mark === undefined ? undefined : numberOption("mark", options.mark, 0, 0xffffffff);
  const { destination, zone } = target(address);
  const model = modelOf(file, options);
  if (model === null) return EXIT.FINDINGS;
  const net = namespaceNamed(model, options.from);
  const engines = await openEngines(model, kind);
  const lab = labOf(model, engines);
  const ping = lab.ping(net.index, { destination, zone, ttl, mark, ...binding(net, options.interface, destination) });
  const chapters = story(ping.events, model.nets, model.source);
  const counters = model.nets.map(({ name }, i) => ({
    namespace: name,
    counters: counterLines(model.nets[i], engines[i].readCounters(), model.source),
  }));
  if (options.json) {
    const report = {
      schema: "vrfc.ping/1",
      kernel: model.kernel,
      namespace: net.name,
      outcome: ping.outcome,
      exitCode: ping.exitCode,
      walk: chapters,
      counters: counters.filter((one) => one.counters.length > 0),
    };
    console.log(JSON.stringify(report, null, 2));
  } else {
    console.log(paint.faint(`kernel ${model.kernel}, engine ${kind}`));
    process.stdout.write(renderStory(chapters, paint));
    for (const one of counters)
      process.stdout.write(renderCounters(`  ${one.namespace}: counters`, one.counters, paint));
    const said = outcomeWords(ping);
    console.log(`${ping.exitCode === 0 ? paint.good(said) : paint.bad(said)}`);
    if (ping.stderr !== "") console.error(ping.stderr.trimEnd());
  }
  return ping.exitCode === 0 ? EXIT.OK : EXIT.FINDINGS;
}

/** An address, of IPv6 with `%DEVICE` behind it where it is known on one link only. */
function target(text: string): { destination: Ip; zone: string } {
  const [address, zone = ""] = text.includes(":") ? text.split("%", 2) : [text];
  const parsed = parseIp(address);
  if (!parsed.ok) throw new UsageError(`\`${text}\` is not an address: ${parsed.reason}`);
  return { destination: parsed.value, zone };
}

/** `-I` takes a device of the namespace, else an address. */
function binding(net: Net, value: string | undefined, destination: Ip): { device?: string; source?: Ip } {
  if (value === undefined) return {};
  const name = String(value);
  if (deviceNamed(net, name) !== undefined) return { device: name };
  const parsed = parseIp(name);
  if (parsed.ok && familyOf(parsed.value) === familyOf(destination)) return { source: parsed.value };
  const devices = net.devices.map((d) => d.name).join(", ");
  const why = parsed.ok
    ? "an address of another family than the destination"
    : `namespace ${net.name} has no such device (it has ${devices}), and it is not an address`;
  throw new UsageError(`-I ${name}: ${why}`);
}
