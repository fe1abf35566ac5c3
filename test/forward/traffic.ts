/** traffic.c, built and run: frames between the neighbours of a router, each counted. */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { projectRoot } from "../conformance/recordings.ts";
import type { Namespaces, Place } from "./namespaces.ts";

/** What `traffic load` reports. */
export interface Delivered {
  readonly seconds: number;
  readonly sent: number;
  /** Packets that the sender's own device did not take: they are none of the router's. */
  readonly refused: number;
  readonly received: number;
  /** Of those, the ones that had arrived when the last was sent. */
  readonly inTime: number;
  /** Packets at the wrong end, or not as a router should leave them. */
  readonly strange: number;
  readonly duplicates: number;
  /** Frames that arrived when the counting program was behind. */
  readonly unseen: number;
}

export interface Load {
  /** Of a frame, without its check sequence. */
  readonly bytes: number;
  /** Packets a second, 0: as many as can be. */
  readonly rate: number;
  readonly milliseconds: number;
  /** 1: from left to right; 2: in turn from right to left too. */
  readonly ways: 1 | 2;
}

/** What a router must have besides the seed's network, for the packets to have a way. */
export const TRAFFIC_ROUTES = `
  route 198.18.0.0/16 via 10.0.1.7 vrf vrf
  route 198.19.0.0/16 via 10.0.0.7 vrf vrf
`;

export const trafficObstacle = (): string | null =>
  spawnSync("cc", ["--version"]).error === undefined ? null : "no cc here";

export class Traffic {
  readonly #program: string;

  /** @param folder where it is built */
  constructor(folder: string) {
    this.#program = join(folder, "traffic");
    const [source, wire] = ["test/forward/traffic.c", "examples/forwarder-c"].map((path) => join(projectRoot(), path));
    execFileSync("cc", ["-O2", "-D_GNU_SOURCE", `-I${wire}`, "-o", this.#program, source, "-lpthread"]);
  }

  async load(namespaces: Namespaces, { bytes, rate, milliseconds, ways }: Load): Promise<Delivered> {
    const ends = [...end(namespaces, "left"), ...end(namespaces, "right")];
    const numbers = [bytes, rate, milliseconds, ways].map(String);
    return JSON.parse(await namespaces.during("left", this.#program, "load", ...ends, ...numbers)) as Delivered;
  }

  /** Frames of 0, `step`, 2 `step`, ... bytes from the left neighbour, each as an IPv4 packet and as random bytes. */
  async lengths(namespaces: Namespaces, step: number): Promise<{ readonly sent: number; readonly refused: number }> {
    const said = await namespaces.during("left", this.#program, "lengths", ...end(namespaces, "left"), String(step));
    return JSON.parse(said) as { sent: number; refused: number };
  }
}

/** The neighbour's namespace and device, and the link-layer address of the router's device at its wire. */
function end(namespaces: Namespaces, place: Exclude<Place, "router">): string[] {
  const [own, router] = place === "left" ? ["veth1", "vethr1"] : ["veth2", "vethr2"];
  const mac = /link\/ether (\S+)/.exec(namespaces.ip("router", `link show ${router}`))![1];
  return [namespaces.name(place), own, mac];
}
