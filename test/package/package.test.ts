/**
 * The package as its users get it: what `npm pack` puts into the tarball, what publint and attw say of that, and projects that have it.
 *
 *   bare        the tarball unpacked into node_modules and nothing else there: vrfc/runtime has no dependency
 *   installed   `npm install` of the tarball, with its dependencies from the registry or npm's cache
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EtherType, ethernetFrame } from "../../runtime/net/ethernet.ts";
import { ipv4Packet } from "../../runtime/net/ipv4.ts";
import { compile } from "../../src/compile.ts";

const newest = (folder: string): number =>
  Math.max(
    ...readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.[jt]s$/.test(name))
      .map((name) => statSync(join(folder, name)).mtimeMs),
  );
const PARTS = ["runtime", "dsl", "src"];
const stale = PARTS.find((part) => !existsSync(`dist/${part}`) || newest(part) > newest(`dist/${part}`));

const bin = (name: string): string => resolve("node_modules/.bin", name);
const run = (command: string, args: readonly string[], cwd: string): string =>
  execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** For a host behind the router of examples/embed-c. */
const FRAME = ethernetFrame(
  { destination: 0x020000000003, source: 0x0200000000a2, type: EtherType.IPV4 },
  ipv4Packet(
    {
      ...{ tos: 0, identification: 0, dontFragment: true, ttl: 64, protocol: 17 },
      ...{ source: 0x0a000002, destination: 0xc0000207 },
    },
    new Uint8Array(8),
  ),
);

describe.skipIf(stale !== undefined)(
  `the package${stale === undefined ? "" : " (dist is older: npm run build)"}`,
  () => {
    let folder: string;
    let tarball: string;
    let wasm: string;
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "vrfc-package-"));
      const [{ filename }] = JSON.parse(
        run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], process.cwd()),
      );
      tarball = join(folder, filename);
      const policy = { name: "router.vrf", text: readFileSync("examples/embed-c/router.vrf", "utf8") };
      wasm = join(folder, "router.wasm");
      writeFileSync(wasm, (await compile(policy, { level: 0 })).artifact!);
    }, 60_000);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    test("has what is said of it, and nothing of the tests", () => {
      const files = run("tar", ["-tzf", tarball], folder).trim().split("\n");
      const packed = (path: string) => files.includes(`package/${path}`);
      for (const path of [
        "dist/runtime/index.js",
        "dist/runtime/index.d.ts",
        "dist/src/cli/main.js",
        "LICENSE",
        "README.md",
      ])
        expect(packed(path), path).toBe(true);
      for (const path of ["runtime/ABI.md", "runtime/c/vrfc.h", "dsl/LANGUAGE.md", "examples/seed.vrf"])
        expect(packed(path), path).toBe(true);
      expect(files.filter((path) => /^package\/(dist\/(test|examples)|test|node_modules)\//.test(path))).toEqual([]);
    });

    test("publint finds nothing", () => {
      const { status, stdout, stderr } = spawnSync(bin("publint"), ["run", tarball, "--strict"], { encoding: "utf8" });
      expect(`${stdout}${stderr}`).toContain("All good!");
      expect(status).toBe(0);
    }, 60_000);

    test("attw finds its types, from ES modules and for bundlers", () => {
      const { status, stdout } = spawnSync(bin("attw"), [tarball, "--profile", "esm-only", "--format", "ascii"], {
        encoding: "utf8",
      });
      expect(status, stdout).toBe(0);
    }, 60_000);

    function project(name: string): string {
      const place = join(folder, name);
      cpSync("test/package/consumer", place, { recursive: true });
      writeFileSync(join(place, "package.json"), '{ "name": "consumer", "private": true, "type": "module" }');
      return place;
    }

    /** Builds one of the consumer's programs, the package's declarations checked too. */
    function build(place: string, program: string, module: string, moduleResolution: string): void {
      const types = resolve("node_modules/@types");
      const options = [
        "--module",
        module,
        "--moduleResolution",
        moduleResolution,
        "--lib",
        "es2023,dom",
        "--target",
        "es2022",
      ];
      const strict = [
        "--strict",
        "--exactOptionalPropertyTypes",
        "--noUncheckedIndexedAccess",
        "--skipLibCheck",
        "false",
      ];
      run(
        bin("tsc"),
        [...options, ...strict, "--types", "node", "--typeRoots", types, "--ignoreConfig", program],
        place,
      );
    }

    describe("in a project that has nothing else", () => {
      let place: string;
      beforeAll(() => {
        place = project("bare");
        mkdirSync(join(place, "node_modules/vrfc"), { recursive: true });
        run("tar", ["-xzf", tarball, "-C", join(place, "node_modules/vrfc"), "--strip-components=1"], place);
      });
      test.each([
        ["nodenext", "nodenext"],
        ["esnext", "bundler"],
      ])(
        "vrfc/runtime builds and runs: --module %s --moduleResolution %s",
        (module, resolution) => {
          build(place, "embed.mts", module, resolution);
          expect(
            run(process.execPath, ["embed.mjs", wasm, Buffer.from(FRAME).toString("hex")], place).split("\n"),
          ).toEqual(["TRANSMIT 42", "EINVAL", "1n", "no-manifest", ""]);
        },
        60_000,
      );
    });

    test("installed, compiles and checks, as a library and as a command", ({ skip }) => {
      const place = project("installed");
      const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional"];
      const { status, stderr } = spawnSync("npm", ["install", ...quiet, tarball], { cwd: place, encoding: "utf8" });
      if (status !== 0 && /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(stderr))
        skip("no registry here");
      expect(status, stderr).toBe(0);
      build(place, "compile.mts", "nodenext", "nodenext");
      expect(run(process.execPath, ["compile.mjs"], place)).toBe("0\nhost\n");
      writeFileSync(join(place, "seed.vrf"), readFileSync("examples/seed.vrf"));
      expect(
        run(join(place, "node_modules/.bin/vrfc"), ["ping", "seed.vrf", "--from", "ns0", "10.0.1.7"], place),
      ).toContain("reply ttl 63 from 10.0.1.7");
    }, 180_000);
  },
);
