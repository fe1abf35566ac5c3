/** `node examples/browser/serve.js [PORT]`: the checkout's files on localhost, for browsers load no modules from files. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
  ".vrf": "text/plain; charset=utf-8",
};

/** Only then a page may share memory with its workers (HTML, cross-origin isolation); a module for one thread needs neither. */
const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

const server = createServer(async ({ url }, response) => {
  const { pathname } = new URL(url, "http://localhost");
  const type = TYPES[extname(pathname)];
  try {
    if (type === undefined) throw new Error("no such kind of file");
    // `normalize` of an absolute path leaves no ".." that would lead above it.
    const body = await readFile(join(ROOT, normalize(decodeURIComponent(pathname))));
    response.writeHead(200, { ...ISOLATED, "content-type": type }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});

server.listen(Number(process.argv[2] ?? 8080), "localhost", () => {
  console.log(`http://localhost:${server.address().port}/examples/browser/index.html`);
});
