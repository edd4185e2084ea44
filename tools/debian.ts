// Debian's packages for riscv64, for proofs and the bench: fetched by apt with folders of its own, from the mirrors that this
// machine uses already. Nothing that comes of it is kept in the source tree.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const SOURCES = "/etc/apt/sources.list.d/debian.sources";

export class DebianRiscv {
  /** Where packages are unpacked. */
  readonly unpacked: string;
  private readonly folder: string;
  private readonly options: readonly string[];

  constructor(root: string, suite: string) {
    this.folder = join(root, "build/debian", suite);
    this.unpacked = join(this.folder, "root");
    this.options = [
      "-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${join(this.folder, "parts")}`, "-o", `Dir::State::lists=${join(this.folder, "lists")}`,
      "-o", `Dir::Cache=${join(this.folder, "cache")}`, "-o", "APT::Architecture=riscv64", "-o", "APT::Architectures=riscv64", "-o", "APT::Sandbox::User=root",
    ];
    for (const d of ["parts", "lists/partial", "cache/archives/partial"]) mkdirSync(join(this.folder, d), { recursive: true });
    if (!existsSync(SOURCES)) return;
    const main = readFileSync(SOURCES, "utf8").split(/\n\s*\n/)[0]!.replace(/^Suites:.*$/m, `Suites: ${suite}`);
    writeFileSync(join(this.folder, "parts/debian.sources"), `${main.trim()}\n`);
  }

  private apt(command: string, ...args: string[]): { ok: boolean; out: string; err: string } {
    const r = spawnSync(command, [...this.options, ...args], { cwd: this.folder, encoding: "utf8" });
    return { ok: r.status === 0, out: r.stdout ?? "", err: r.stderr ?? String(r.error) };
  }

  /** Brings the package lists up to date. => null, or why it failed */
  update(): string | null {
    if (!existsSync(SOURCES)) return `there is no ${SOURCES} to take mirrors from`;
    const r = this.apt("apt-get", "update");
    return r.ok ? null : `apt-get update failed: ${r.err.trim().split("\n").at(-1)}`;
  }

  /** Names of packages that a package needs, at any depth. */
  depends(name: string): string[] {
    const { out } = this.apt("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", name);
    return [...new Set([...out.matchAll(/^[ |]*(?:Depends: |PreDepends: )?([a-z0-9][a-z0-9.+-]+)$/gm)].map((m) => m[1]!))];
  }

  /** Fetches packages and unpacks them. => null, or why it failed */
  fetch(names: readonly string[]): string | null {
    for (const name of names) {
      const r = this.apt("apt-get", "download", name);
      if (!r.ok) return `${name} cannot be fetched: ${r.err.trim().split("\n").at(-1)}`;
    }
    for (const deb of readdirSync(this.folder).filter((f) => f.endsWith(".deb"))) spawnSync("dpkg-deb", ["-x", deb, this.unpacked], { cwd: this.folder });
    return null;
  }

  /** The first unpacked file whose path matches, or null. */
  find(pattern: RegExp): string | null {
    if (!existsSync(this.unpacked)) return null;
    const name = readdirSync(this.unpacked, { recursive: true }).map(String).find((f) => pattern.test(f));
    return name === undefined ? null : join(this.unpacked, name);
  }
}

/** Debian's kernel, fetched if it is not there yet. => its path, or why there is none */
export function debianKernel(root: string, suite: string): { path: string } | { reason: string } {
  const debian = new DebianRiscv(root, suite), image = /(^|\/)vmlinu[xz][^/]*$/, found = debian.find(image);
  if (found !== null) return { path: found };
  const failed = debian.update();
  if (failed !== null) return { reason: failed };
  // The image lies in the package itself, or in one beside it.
  const names = debian.depends("linux-image-riscv64").filter((n) => /^linux-(image|binary)-[0-9]/.test(n));
  const error = debian.fetch(names.length > 0 ? names : ["linux-image-riscv64"]), path = debian.find(image);
  return path === null ? { reason: error ?? `no kernel image in Debian's ${suite} for riscv64` } : { path };
}
