// Builds the guest userland: finds a bare-metal RISC-V compiler, builds musl from the distribution's source
// package, then the programs of guest/ with it. Plain JavaScript, because it runs before anything is built.
//
//   node tools/bin/guest.mjs            build/guest/bin/*, build/guest/tests/* and build/guest/versions.json
//   CROSS=riscv-none-elf-               names the compiler's prefix
//   MUSL_TARBALL=musl-1.2.3.tar.gz      names musl's source instead of asking apt for it
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./setup.mjs";

const out = join(root, "build"), prefixes = ["riscv-none-elf-", "riscv64-unknown-elf-"];
/** Code generation options shared by musl and the programs; a change here changes the image's digest. */
const target = ["-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany"];

/** Runs a command; its output is shown only when it fails, and then the build ends. */
function run(what, command, args, options = {}) {
  const r = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 26, ...options });
  if (r.status === 0) return r.stdout;
  console.error((r.stdout ?? "").slice(-4000) + (r.stderr ?? "").slice(-4000));
  throw new Error(`${what} failed: ${command} ${args.join(" ")}${r.error ? `: ${r.error.message}` : ""}`);
}

/** True when `command --version` runs. */
const works = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;

/** The compiler's prefix, or "" when the build was handed to Docker. Installs one by apt where that is possible. */
function findCompiler() {
  const named = process.env.CROSS;
  if (named && works(`${named}gcc`)) return named;
  if (named) throw new Error(`CROSS=${named}: ${named}gcc does not run; unset CROSS or put it on the PATH`);
  const found = prefixes.find((p) => works(`${p}gcc`));
  if (found) return found;
  if (spawnSync("docker", ["info"], { stdio: "ignore" }).status === 0) {
    console.error("guest: building in Docker (no RISC-V compiler on the PATH)");
    run("docker", "docker", ["build", "--target", "guest", "--output", join(out, "guest"), root], { stdio: "inherit" });
    return "";
  }
  if (process.getuid?.() === 0 && works("apt-get")) {
    console.error("guest: installing gcc-riscv64-unknown-elf by apt");
    run("apt", "apt-get", ["update", "-qq"]);
    run("apt", "apt-get", ["install", "-y", "-qq", "--no-install-recommends", "gcc-riscv64-unknown-elf", "make"], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    return "riscv64-unknown-elf-";
  }
  throw new Error("no RISC-V compiler: put riscv-none-elf-gcc or riscv64-unknown-elf-gcc on the PATH, start Docker, or run as root on Debian");
}

/**
 * Fetches musl's source package without touching the system's apt: a private copy of its sources with `deb-src`
 * switched on and private list folders, so neither root nor a change of configuration is needed.
 */
function fetchMusl(dir) {
  if (!works("apt-get")) throw new Error("no apt-get to fetch musl's source with: set MUSL_TARBALL to a musl release");
  console.error("guest: fetching musl's source package by apt");
  const apt = join(dir, "apt"), parts = join(apt, "sources.list.d");
  mkdirSync(join(apt, "lists", "partial"), { recursive: true });
  mkdirSync(join(apt, "cache", "archives", "partial"), { recursive: true });
  mkdirSync(parts, { recursive: true });
  const withSource = (text) => text.replace(/^Types:.*$/gm, "Types: deb-src").replace(/^deb (?!-src)/gm, "deb-src ");
  const system = "/etc/apt/sources.list.d";
  for (const f of existsSync(system) ? readdirSync(system) : [])
    if (/^debian.*\.(sources|list)$/.test(f)) writeFileSync(join(parts, f), withSource(readFileSync(join(system, f), "utf8")));
  const list = "/etc/apt/sources.list";
  writeFileSync(join(apt, "sources.list"), existsSync(list) ? withSource(readFileSync(list, "utf8")) : "");
  const options = Object.entries({
    "Dir::Etc::sourcelist": join(apt, "sources.list"), "Dir::Etc::sourceparts": parts, "Dir::State::lists": join(apt, "lists"), "Dir::Cache": join(apt, "cache"),
  }).flatMap(([k, v]) => ["-o", `${k}=${v}`]);
  run("apt", "apt-get", [...options, "update", "-qq"], { cwd: dir });
  run("apt", "apt-get", [...options, "source", "--download-only", "-qq", "musl"], { cwd: dir });
}

/** Builds musl into build/sysroot once per compiler and musl version. Returns musl's version. */
function buildMusl(cross) {
  const dir = join(out, "musl"), sysroot = join(out, "sysroot"), stamp = join(sysroot, "versions.json");
  const gcc = run("gcc", `${cross}gcc`, ["-dumpfullversion"]).trim();
  if (existsSync(stamp)) {
    const built = JSON.parse(readFileSync(stamp, "utf8"));
    if (built.gcc === gcc && built.cross === cross) return built;
  }
  mkdirSync(dir, { recursive: true });
  let tarball = process.env.MUSL_TARBALL ? resolve(process.env.MUSL_TARBALL) : "";
  const downloaded = () => readdirSync(dir).filter((f) => /^musl_.*\.orig\.tar\.gz$/.test(f)).map((f) => join(dir, f))[0] ?? "";
  if (!tarball && !downloaded()) fetchMusl(dir);
  tarball ||= downloaded();
  if (!existsSync(tarball)) throw new Error(`musl's source is not at ${tarball || dir}`);
  const source = join(dir, "source");
  rmSync(source, { recursive: true, force: true });
  rmSync(sysroot, { recursive: true, force: true });
  mkdirSync(source, { recursive: true });
  run("tar", "tar", ["-xf", tarball, "-C", source, "--strip-components=1"]);
  const musl = readFileSync(join(source, "VERSION"), "utf8").trim();
  console.error(`guest: building musl ${musl} with ${cross}gcc ${gcc}`);
  run("configure", "./configure", ["--target=riscv64", `--prefix=${sysroot}`, "--disable-shared", `CROSS_COMPILE=${cross}`, `CFLAGS=${[...target, "-Os", "-pipe"].join(" ")}`], { cwd: source });
  run("make", "make", ["-j", String(availableParallelism()), "install"], { cwd: source });
  const versions = { cross, gcc, musl };
  writeFileSync(stamp, JSON.stringify(versions));
  return versions;
}

/** Builds everything; returns the versions that decide the image's bytes. */
export function buildGuest() {
  const cross = findCompiler();
  if (!cross) return JSON.parse(readFileSync(join(out, "guest", "versions.json"), "utf8"));
  const versions = buildMusl(cross);
  console.error("guest: building the programs");
  run("make", "make", ["-s", "-j", String(availableParallelism()), "-C", join(root, "guest"), `CROSS=${cross}`, `SYSROOT=${join(out, "sysroot")}`, `OUT=${join(out, "guest")}`]);
  writeFileSync(join(out, "guest", "versions.json"), JSON.stringify(versions));
  return versions;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const { gcc, musl } = buildGuest();
    console.error(`guest: built with gcc ${gcc} and musl ${musl}`);
  } catch (e) {
    console.error(`guest: ${e.message}`);
    process.exitCode = 1;
  }
}
