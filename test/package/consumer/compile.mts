/** A program of somebody who has the package: from a policy's text to a packet's verdict, with the compiler and its language. */
import { compile } from "vrfc";
import { checkText } from "vrfc/dsl";
import { load } from "vrfc/runtime";

const text = "interface eth0 { address 10.0.0.1/24 }";
console.log(checkText(text).diagnostics.length);
const { artifact } = await compile({ name: "one.vrf", text });
const dataplane = await load(artifact!);
console.log(dataplane.manifest.nets.map(({ name }) => name).join());
