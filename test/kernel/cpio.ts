/**
 * Archives in cpio's "newc" form, which the Linux kernel unpacks as its first root file system
 * (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 *   archive = { entry } entry-of-"TRAILER!!!"
 *   entry   = "070701" 13 fields of 8 hexadecimal digits, name NUL, padding to 4, content, padding to 4
 */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

const FILE_TYPE = 0o170000;
const SYMLINK = 0o120000;
const DIRECTORY = 0o040000;
const TRAILER = "TRAILER!!!";

/** The tree below `root`, owned by root, all times 0, so that the same tree gives the same bytes. */
export function cpioOf(root: string): Buffer {
  const parts: Buffer[] = [];
  let inode = 1;
  const add = (path: string, name: string): void => {
    const { mode } = lstatSync(path);
    const type = mode & FILE_TYPE;
    const content =
      type === DIRECTORY ? Buffer.alloc(0) : type === SYMLINK ? Buffer.from(readlinkSync(path)) : readFileSync(path);
    parts.push(...entry(name, mode, inode++, content));
    if (type === DIRECTORY) for (const child of readdirSync(path).sort()) add(join(path, child), join(name, child));
  };
  for (const child of readdirSync(root).sort()) add(join(root, child), child);
  return Buffer.concat([...parts, ...entry(TRAILER, 0, 0, Buffer.alloc(0))]);
}

function entry(name: string, mode: number, inode: number, content: Buffer): Buffer[] {
  const nameBytes = Buffer.from(`${name}\0`);
  const [uid, gid, links, mtime, devMajor, devMinor, rdevMajor, rdevMinor, check] = [0, 0, 1, 0, 0, 0, 0, 0, 0];
  const fields = [
    ...[inode, mode, uid, gid, links, mtime, content.length],
    ...[devMajor, devMinor, rdevMajor, rdevMinor, nameBytes.length, check],
  ];
  const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, "0")).join("")}`);
  return [padded(Buffer.concat([header, nameBytes])), padded(content)];
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
