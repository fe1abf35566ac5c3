/** A worker of either kind: both have `import()`. */
import("../../dist/runtime/index.js").then(async ({ load }) => {
  const dataplane = await load(await (await fetch("seed.wasm")).arrayBuffer());
  postMessage(dataplane.manifest.nets.map(({ name }) => name).join(", "));
});
