/** nftables' plain rules beside our lists (peers/nft.c), where this machine lets packets into its kernel. */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Built, buildPeer, Peer } from "./peer.ts";

/** Fewer rules take less than the system call varies by. */
export const NFT_FROM = 100;
/** What the racer is called. */
export const NFT = "nftables, plain rules, above one";

export function buildNft(folder: string): Built {
  const why = (what: string): Built => ({ ok: false, why: what });
  if (process.getuid?.() !== 0) return why("network namespaces want root");
  if (!existsSync("/dev/net/tun")) return why("no /dev/net/tun here");
  if (spawnSync("nft", ["--version"]).error !== undefined) return why("apt-get install nftables");
  const { status, stderr } = spawnSync("unshare", ["-n", "nft", "list", "ruleset"], { encoding: "utf8" });
  if (status !== 0) return why(`unshare -n nft: ${stderr?.split("\n")[0] ?? "not there"}`);
  return buildPeer("nft", folder, []);
}

/** @param rules each as nft says what it tests */
export async function startNft(program: string, rules: readonly string[], folder: string): Promise<Peer> {
  const files = [
    ["base.nft", [""]],
    ["rules.nft", rules],
  ] as const;
  for (const [name, list] of files) {
    const lines = list.map((rule) => `${rule} counter drop`).join("\n");
    const chain = `chain plain {\ntype filter hook prerouting priority raw; policy accept;\n${lines}\n}`;
    writeFileSync(join(folder, name), `table ip bench {\n${chain}\n}\n`);
  }
  return Peer.start("unshare", ["-n", program, ...files.map(([name]) => join(folder, name))]);
}

/** What nft.c says of the counters when each rule has counted its packets. */
export const countedBy = (rules: Uint32Array): number => rules.reduce((sum, rule) => (sum + rule + 1) >>> 0, 0);
