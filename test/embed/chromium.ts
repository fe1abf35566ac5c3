/** Headless Chromium by its own protocol (DevTools, over two pipes: JSON, each message ended by a zero byte): opens pages, reads their text. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

const PROGRAM = "/usr/bin/chromium";
/** Debian's package. */
export const isThere = existsSync(PROGRAM);

const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
];
/** Milliseconds until a page must say what is waited for. */
const PATIENCE = 30_000;

interface Answer {
  readonly id?: number;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #profile = mkdtempSync(join(tmpdir(), "vrfc-chromium-"));
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;
  #unread = "";

  constructor() {
    this.#process = spawn(PROGRAM, [...FLAGS, `--user-data-dir=${this.#profile}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      // A group of its own, to be ended as one: helpers outlive the browser, and write their profile. What is theirs alone stands there too.
      detached: true,
      env: { ...process.env, TMPDIR: this.#profile },
    });
    (this.#process.stdio[4] as Readable).setEncoding("utf8").on("data", (chunk: string) => this.#read(chunk));
  }

  /**
   * Opens a page and waits until its text has `words`.
   * @returns the text, also when they do not come
   */
  async textOf(url: string, words: string): Promise<string> {
    const { targetId } = await this.#ask("Target.createTarget", { url });
    const { sessionId } = await this.#ask("Target.attachToTarget", { targetId, flatten: true });
    const end = performance.now() + PATIENCE;
    let text = "";
    while (!text.includes(words) && performance.now() < end) {
      text = await this.#text(sessionId);
      await sleep(50);
    }
    await this.#ask("Target.closeTarget", { targetId });
    return text;
  }

  /** As it is now; nothing while the page is not there yet. */
  async #text(sessionId: unknown): Promise<string> {
    const answer = await this.#answer("Runtime.evaluate", { expression: "document.body.innerText" }, sessionId);
    const found = answer.result?.result as { readonly value?: unknown } | undefined;
    return `${found?.value ?? ""}`.replace(/\s+/g, " ");
  }

  /** Ends the browser and all its helpers. Nothing of it stays on the disk. */
  async close(): Promise<void> {
    const ended = new Promise((exit) => this.#process.once("exit", exit));
    process.kill(-this.#process.pid!, "SIGKILL");
    await ended;
    await removed(this.#profile);
  }

  async #ask(method: string, params: object): Promise<Readonly<Record<string, unknown>>> {
    const { result, error } = await this.#answer(method, params);
    if (result === undefined) throw new Error(`${method}: ${error?.message}`);
    return result;
  }

  #answer(method: string, params: object, sessionId?: unknown): Promise<Answer> {
    const id = ++this.#last;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return answered;
  }

  #read(chunk: string): void {
    const messages = (this.#unread + chunk).split("\0");
    this.#unread = messages.pop()!;
    for (const message of messages) {
      const answer: Answer = JSON.parse(message);
      if (answer.id === undefined) continue;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    }
  }
}

/** The helpers' last files may come while theirs are removed; `rmSync`'s own retries would not look for them. */
async function removed(folder: string): Promise<void> {
  for (let tries = 1; existsSync(folder); tries++) {
    try {
      rmSync(folder, { recursive: true, force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOTEMPTY" || tries === 50) throw error;
      await sleep(100);
    }
  }
}
