/**
 * Which files of a kernel's module tree must be loaded, and in which order, for some modules to work. Debian's packages
 * carry no modules.dep (depmod writes it on the machine); but each module names those it needs in its .modinfo section,
 * as "depends=a,b" between NULs.
 */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

/**
 * @param tree of one kernel: lib/modules/VERSION
 * @param wanted module names; those the kernel has not as modules (built in, or gone) are left out
 * @returns files, each behind those it depends on
 */
export function loadOrder(tree: string, wanted: readonly string[]): string[] {
  const files = new Map<string, string>();
  for (const file of readdirSync(tree, { recursive: true, encoding: "utf8" }))
    if (file.endsWith(".ko")) files.set(moduleName(basename(file, ".ko")), join(tree, file));
  const order: string[] = [];
  const visit = (name: string): void => {
    const file = files.get(moduleName(name));
    if (file === undefined || order.includes(file)) return;
    for (const other of dependsOf(readFileSync(file))) visit(other);
    order.push(file);
  };
  for (const name of wanted) visit(name);
  return order;
}

/** The kernel takes - and _ for the same in names of modules. */
const moduleName = (name: string): string => name.replaceAll("-", "_");

function dependsOf(module: Buffer): string[] {
  const key = Buffer.from("\0depends=");
  const start = module.indexOf(key);
  if (start < 0) return [];
  const from = start + key.length;
  const list = module.toString("latin1", from, module.indexOf(0, from));
  return list === "" ? [] : list.split(",");
}
