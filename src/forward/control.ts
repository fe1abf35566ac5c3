/**
 * How `vrfc top` and `vrfc reload` reach a running forwarder: a Unix socket, on which each line is a request or its answer, in JSON.
 *
 *   -> { "command": "counters" }      <- { "ok": true, "reading": { ... } }
 *   -> { "command": "reload" }        <- { "ok": true } or { "ok": false, "why": "..." }
 */
import { mkdirSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Reading } from "./counters.ts";
import { ForwardError } from "./native.ts";

export interface Request {
  readonly command: "counters" | "reload";
}
export interface Answer {
  readonly ok: boolean;
  readonly why?: string;
  readonly reading?: Reading;
}

/** Where the forwarder of a namespace of this name listens, unless it is told otherwise. */
export const controlPath = (namespace: string): string => `/run/vrfc/${namespace}.sock`;

/** @throws ForwardError when another forwarder listens there */
export async function listen(path: string, answer: (request: Request) => Promise<Answer>): Promise<Server> {
  if (await ask(path, { command: "counters" }).then(Boolean, () => false))
    throw new ForwardError(`another forwarder listens at ${path} (choose another place with --control)`);
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  const server = createServer((socket) => serve(socket, answer));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new ForwardError(`cannot listen at ${path}: ${error.message}`)));
    server.listen(path, resolve);
  });
  return server;
}

function serve(socket: Socket, answer: (request: Request) => Promise<Answer>): void {
  // A client that has gone is no matter.
  socket.on("error", () => socket.destroy());
  onLine(socket, async (line) => {
    const request = parse(line);
    const said = request === null ? { ok: false, why: "not a request" } : await answer(request);
    if (!socket.destroyed) socket.write(`${JSON.stringify(said)}\n`);
  });
}

function onLine(socket: Socket, hear: (line: string) => void): void {
  let text = "";
  socket.setEncoding("utf8").on("data", (more) => {
    const lines = (text + more).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) hear(line);
  });
}

function parse(line: string): Request | null {
  try {
    const { command } = JSON.parse(line) as Request;
    return command === "counters" || command === "reload" ? { command } : null;
  } catch {
    return null;
  }
}

/** @throws ForwardError when nobody listens */
export async function ask(path: string, request: Request): Promise<Answer> {
  const socket = connect(path);
  try {
    socket.write(`${JSON.stringify(request)}\n`);
    return await new Promise<Answer>((resolve, reject) => {
      socket.once("error", () => reject(new ForwardError(`no forwarder listens at ${path}`)));
      socket.once("close", () => reject(new ForwardError(`the forwarder at ${path} has gone`)));
      onLine(socket, (line) => resolve(JSON.parse(line) as Answer));
    });
  } finally {
    socket.destroy();
  }
}
