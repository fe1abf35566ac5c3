/**
 * The guest: Debian's stock kernel and a root file system in memory, both taken from Debian's packages as they are on the
 * configured mirrors. Nothing is installed on this machine but QEMU, and that only by root when it is missing.
 *
 *   CACHE/vrfc/kernel/HASH/{vmlinuz,initrd}     HASH: of this recipe; another recipe is another guest
 *
 * CACHE is $XDG_CACHE_HOME, or ~/.cache. Removing the folder makes the next use fetch the newest packages.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { cpioOf } from "./cpio.ts";
import { loadOrder } from "./modules.ts";

export interface GuestImage {
  readonly kernel: string;
  readonly initrd: string;
}

/** Something that this machine lacks; the message says what, and what would help. */
export class OracleUnavailable extends Error {}

export const QEMU = "qemu-system-x86_64";
const QEMU_PACKAGE = "qemu-system-x86";

/** What the guest runs. Their dependencies come along, but for those of SKIPPED. */
const PACKAGES = [
  ...["busybox-static", "bash", "iproute2", "nftables", "iputils-ping", "netbase", "procps"],
  ...["python3-minimal", "libpython3-stdlib"],
];
/** Dependencies for installing and documenting packages, which this guest is not asked to do. */
const SKIPPED =
  /^(perl|libperl|dpkg|debconf|cdebconf|install-info|gcc-|tar$|libdb5|libdebian|libgdbm|libnewt|libslang|libtextwrap|mailcap|mime-|media-|debianutils|lsb-|init-system|sensible-|readline-common|.*-doc$)/;
const MODULES = [
  ...["virtio_pci", "virtio_console", "qemu_fw_cfg", "crc32c_generic", "crc32c_intel"],
  ...["veth", "dummy", "vrf", "tun", "sch_ingress", "sch_fq", "sch_fq_codel", "sch_netem", "sch_prio", "sch_tbf"],
  ...["cls_u32", "cls_matchall", "cls_flower", "act_mirred", "act_gact"],
  ...["nf_tables", "nft_log", "nf_log_syslog", "nft_ct", "nft_fib_inet", "nft_fib_netdev", "nft_reject_inet"],
  ...["nft_limit", "nft_numgen", "nft_hash", "nft_quota", "nft_objref", "nft_nat", "nft_masq", "nft_redir"],
  ...["nft_dup_netdev", "nft_fwd_netdev", "nft_reject_netdev", "nft_connlimit", "nft_socket"],
];

/** PID 1. The agent comes by QEMU's fw_cfg, so that it can change without the guest being built anew. */
const INIT = `#!/bin/busybox sh
# Busybox stands in for what no package brings: sysctl, sleep, grep.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/applets HOME=/tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for d in /tmp /run; do /bin/busybox mount -t tmpfs none $d; done
/bin/busybox --install -s /applets
while read -r module; do /bin/busybox insmod $module; done </modules/order
/usr/bin/python3 -I /sys/firmware/qemu_fw_cfg/by_name/opt/vrfc/agent/raw
/bin/busybox poweroff -f
`;

/** Finds the guest, or builds it: about a minute, once. @throws OracleUnavailable */
export function guestImage(say: (line: string) => void): GuestImage {
  needQemu(say);
  const recipe = JSON.stringify([PACKAGES, SKIPPED.source, MODULES, INIT]);
  const hash = createHash("sha256").update(recipe).digest("hex").slice(0, 12);
  const home = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vrfc", "kernel", hash);
  const image = { kernel: join(home, "vmlinuz"), initrd: join(home, "initrd") };
  if (!existsSync(image.initrd)) build(home, image, say);
  return image;
}

function needQemu(say: (line: string) => void): void {
  if (run("sh", ["-c", `command -v ${QEMU}`]) !== null) return;
  if (process.getuid?.() !== 0) throw new OracleUnavailable(`no ${QEMU}: apt-get install ${QEMU_PACKAGE}`);
  say(`installing ${QEMU_PACKAGE}`);
  updateLists(say);
  const installed = run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", QEMU_PACKAGE]);
  if (installed === null) throw new OracleUnavailable(`no ${QEMU}, and apt-get install ${QEMU_PACKAGE} fails`);
}

function build(home: string, image: GuestImage, say: (line: string) => void): void {
  if (run("sh", ["-c", "command -v apt-get && command -v dpkg-deb"]) === null)
    throw new OracleUnavailable("the guest is made of Debian's packages: no apt-get here");
  const [packages, kernelTree, root] = ["packages", "kernel", "root"].map((name) => join(home, name));
  for (const folder of [packages, kernelTree, root]) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
  }
  if (run("apt-cache", ["show", "linux-image-amd64"]) === null) updateLists(say);
  say("fetching the guest's packages");
  const names = [kernelPackage(), ...closure(PACKAGES)];
  const asRoot = process.getuid?.() === 0 ? ["-o", "APT::Sandbox::User=root"] : [];
  if (run("apt-get", ["download", "-qq", ...asRoot, ...names], packages) === null)
    throw new OracleUnavailable(`apt-get download fails for one of: ${names.join(" ")}`);
  say("building the guest");
  for (const file of readdirSync(packages)) unpack(join(packages, file), file.startsWith("linux-") ? kernelTree : root);
  trim(root);
  addModules(kernelTree, root);
  writeFileSync(join(root, "init"), INIT);
  chmodSync(join(root, "init"), 0o755);
  const vmlinuz = readdirSync(join(kernelTree, "boot")).find((name) => name.startsWith("vmlinuz-"))!;
  cpSync(join(kernelTree, "boot", vmlinuz), image.kernel);
  writeFileSync(`${image.initrd}.part`, gzipSync(cpioOf(root), { level: 1 }));
  for (const folder of [packages, kernelTree, root]) rmSync(folder, { recursive: true });
  renameSync(`${image.initrd}.part`, image.initrd);
}

function updateLists(say: (line: string) => void): void {
  if (process.getuid?.() !== 0) return;
  say("apt-get update");
  run("apt-get", ["update", "-qq"]);
}

/** The package that the meta-package stands for now. */
function kernelPackage(): string {
  const depends = run("apt-cache", ["depends", "linux-image-amd64"]) ?? "";
  const name = /Depends: (linux-image-\d\S*)/.exec(depends)?.[1];
  if (name === undefined) throw new OracleUnavailable("apt knows no linux-image-amd64: apt-get update, on amd64");
  return name;
}

function closure(names: readonly string[]): string[] {
  const flags = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((kind) => `--no-${kind}`);
  const found = new Set(names);
  for (const name of found) {
    const depends = run("apt-cache", ["depends", ...flags, name]) ?? "";
    for (const [, other] of depends.matchAll(/^ {2}(?:Pre)?Depends: ([^<\s:]+)$/gm))
      if (!SKIPPED.test(other)) found.add(other);
  }
  return [...found];
}

function unpack(file: string, into: string): void {
  if (run("dpkg-deb", ["-x", file, into]) === null) throw new OracleUnavailable(`dpkg-deb -x ${basename(file)} fails`);
}

/** What no scenario needs: it would only make the guest slower to start. */
function trim(root: string): void {
  const parts = ["usr/share", "usr/lib/x86_64-linux-gnu/gconv", "var"];
  for (const part of parts) rmSync(join(root, part), { recursive: true, force: true });
  const python = readdirSync(join(root, "usr/lib")).find((name) => /^python3\.\d+$/.test(name));
  if (python === undefined) throw new OracleUnavailable("no Python among the guest's packages");
  for (const part of [
    "test",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "distutils",
    "unittest",
    "pydoc_data",
    "xmlrpc",
    "wsgiref",
  ])
    rmSync(join(root, "usr/lib", python, part), { recursive: true, force: true });
  if (!lexists(join(root, "usr/bin/python3"))) symlinkSync(python, join(root, "usr/bin/python3"));
  for (const folder of ["proc", "sys", "dev", "tmp", "run", "modules", "applets"])
    mkdirSync(join(root, folder), { recursive: true });
}

function lexists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function addModules(kernelTree: string, root: string): void {
  const modules = ["lib/modules", "usr/lib/modules"].map((path) => join(kernelTree, path)).find(existsSync)!;
  const order = loadOrder(join(modules, readdirSync(modules)[0]), MODULES);
  for (const file of order) cpSync(file, join(root, "modules", basename(file)));
  writeFileSync(join(root, "modules/order"), order.map((file) => `/modules/${basename(file)}\n`).join(""));
}

/** Standard output, or null when the command fails. */
function run(command: string, args: readonly string[], cwd?: string): string | null {
  try {
    return execFileSync(command, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
      ...(cwd === undefined ? {} : { cwd }),
    });
  } catch {
    return null;
  }
}
