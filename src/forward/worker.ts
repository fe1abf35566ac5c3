/**
 * The thread that forwards. It never returns to its event loop: between two turns it looks for messages itself.
 *
 *   in    { network }   forward by it          out   { loaded } or { refused: why }
 *         { counters }                               { counters }
 *         { stop }                                   and the thread ends
 *                                                    { returned: device }   a device is there again
 */
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { Reading } from "./counters.ts";
import { Forwarder, type Network } from "./forwarder.ts";
import { ForwardError, loadNative } from "./native.ts";
import type { Member } from "./team.ts";

export type ToWorker =
  | { readonly kind: "network"; readonly network: Network }
  | { readonly kind: "counters" }
  | { readonly kind: "stop" };

export type FromWorker =
  | { readonly kind: "loaded" }
  | { readonly kind: "refused"; readonly why: string }
  | { readonly kind: "counters"; readonly reading: Reading }
  | { readonly kind: "returned"; readonly device: string };

const say = (message: FromWorker): void => parentPort?.postMessage(message);

const { port, team } = workerData as { readonly port: MessagePort; readonly team: readonly Member[] };
const forwarder = new Forwarder(await loadNative(), team, (device) => say({ kind: "returned", device }));

function obey(message: ToWorker): boolean {
  switch (message.kind) {
    case "network":
      try {
        forwarder.load(message.network);
        say({ kind: "loaded" });
      } catch (error) {
        if (!(error instanceof ForwardError)) throw error;
        say({ kind: "refused", why: error.message });
      }
      return true;
    case "counters":
      say({ kind: "counters", reading: forwarder.counters() });
      return true;
    case "stop":
      return false;
  }
}

try {
  for (let goesOn = true; goesOn; ) {
    const message = receiveMessageOnPort(port) as { message: ToWorker } | undefined;
    if (message === undefined) forwarder.turn();
    else goesOn = obey(message.message);
  }
} finally {
  forwarder.close();
}
