// Debian's kernel for riscv64, as the rival's operating system: fetched by apt with folders of its own, from the mirrors that
// this machine uses already.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SOURCES = ["/etc/apt/sources.list.d/debian.sources"];

/** The kernel image, fetched if it is not there yet. => its path, or why there is none */
export function debianKernel(root: string, suite: string): { path: string } | { reason: string } {
  const folder = join(root, "build/bench/debian", suite), unpacked = join(folder, "root");
  const found = findKernel(unpacked);
  if (found !== null) return { path: found };
  const source = SOURCES.find((f) => existsSync(f));
  if (source === undefined) return { reason: "this machine has no apt sources in deb822 form to take mirrors from" };
  for (const d of ["parts", "lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, d), { recursive: true });
  const main = readFileSync(source, "utf8").split(/\n\s*\n/)[0]!.replace(/^Suites:.*$/m, `Suites: ${suite}`);
  writeFileSync(join(folder, "parts/rival.sources"), `${main.trim()}\n`);
  const options = [
    "-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${join(folder, "parts")}`, "-o", `Dir::State::lists=${join(folder, "lists")}`,
    "-o", `Dir::Cache=${join(folder, "cache")}`, "-o", "APT::Architecture=riscv64", "-o", "APT::Architectures=riscv64", "-o", "APT::Sandbox::User=root",
  ];
  const apt = (command: string, ...args: string[]) => spawnSync(command, [...options, ...args], { cwd: folder, encoding: "utf8" });
  const update = apt("apt-get", "update");
  if (update.status !== 0) return { reason: `apt-get update failed: ${lastLine(update.stderr)}` };
  const depends = apt("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "linux-image-riscv64").stdout;
  const names = [...new Set([...depends.matchAll(/\blinux-(?:image|binary|modules)-[0-9][^\s]*-riscv64\b/g)].map((m) => m[0]))];
  const binary = [...new Set([...names, ...names.map((n) => n.replace("linux-image", "linux-binary"))])];
  for (const name of binary) apt("apt-get", "download", name);
  for (const deb of readdirSync(folder).filter((f) => f.endsWith(".deb"))) spawnSync("dpkg-deb", ["-x", deb, unpacked], { cwd: folder });
  const path = findKernel(unpacked);
  return path === null ? { reason: `no kernel image in Debian's ${suite} for riscv64` } : { path };
}

function findKernel(folder: string): string | null {
  if (!existsSync(folder)) return null;
  const name = readdirSync(folder, { recursive: true }).map(String).find((f) => /(^|\/)vmlinu[xz][^/]*$/.test(f));
  return name === undefined ? null : join(folder, name);
}

const lastLine = (text: string): string => text.trim().split("\n").at(-1) ?? "";
