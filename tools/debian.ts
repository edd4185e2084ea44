// Debian's packages for riscv64, for proofs and the bench: fetched by apt with folders of its own, from the mirrors that this
// machine uses already. Nothing that comes of it is kept in the source tree.
//
// apt checks the index against the archive's signature, and each package against the index. A mirror may serve one name of a
// suite with an index of another day, which apt then refuses; its other name ("stable" for "trixie") is asked next, and taken
// only if the signed file calls itself by the code name that was wanted.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const SOURCES = "/etc/apt/sources.list.d/debian.sources";

/** Other names that a suite may go by, today or later: the signed file decides. */
const OTHER_NAMES: readonly string[] = ["stable", "testing", "oldstable"];

export interface Ran { readonly ok: boolean; readonly out: string; readonly err: string }
export type Runner = (command: string, args: readonly string[], cwd: string) => Ran;

const runCommand: Runner = (command, args, cwd) => {
  const r = spawnSync(command, args, { cwd, encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });
  return { ok: r.status === 0, out: r.stdout ?? "", err: r.stderr || String(r.error ?? "") };
};

/** Of apt's many lines the first that names an error. */
const reasonOf = (err: string): string => err.split("\n").find((line) => line.startsWith("E: "))?.slice(3) ?? err.trim().split("\n").at(-1) ?? "";

export class DebianRiscv {
  /** Where packages are unpacked. */
  readonly unpacked: string;
  private readonly folder: string;
  private readonly options: readonly string[];
  private readonly suite: string;
  private readonly sources: string;
  private readonly run: Runner;

  /** => sources: a file in deb822 form whose first paragraph names the mirror and the keys */
  constructor(root: string, suite: string, sources = SOURCES, run = runCommand) {
    this.suite = suite;
    this.sources = sources;
    this.run = run;
    this.folder = join(root, "build/debian", suite);
    this.unpacked = join(this.folder, "root");
    this.options = [
      "-o", "Dir::Etc::sourcelist=/dev/null", "-o", `Dir::Etc::sourceparts=${join(this.folder, "parts")}`, "-o", `Dir::State::lists=${join(this.folder, "lists")}`,
      "-o", `Dir::Cache=${join(this.folder, "cache")}`, "-o", "APT::Architecture=riscv64", "-o", "APT::Architectures=riscv64", "-o", "APT::Sandbox::User=root",
    ];
    for (const d of ["parts", "lists/partial", "cache/archives/partial"]) mkdirSync(join(this.folder, d), { recursive: true });
  }

  private apt(command: string, ...args: string[]): Ran {
    return this.run(command, [...this.options, ...args], this.folder);
  }

  /** Has apt ask for one name of the suite. */
  private ask(name: string): void {
    const main = readFileSync(this.sources, "utf8").split(/\n\s*\n/)[0]!.replace(/^Suites:.*$/m, `Suites: ${name}`).replace(/^Types:.*$/m, "Types: deb");
    writeFileSync(join(this.folder, "parts/debian.sources"), `${main.trim()}\n`);
  }

  /** Whether the signed file that apt took is of the suite. */
  private isSuite(name: string): boolean {
    if (name === this.suite) return true;
    const lists = join(this.folder, "lists"), file = readdirSync(lists).find((f) => f.endsWith(`_dists_${name}_InRelease`));
    return file !== undefined && new RegExp(`^Codename: ${this.suite}$`, "m").test(readFileSync(join(lists, file), "utf8"));
  }

  /** Brings the package lists up to date. => null, or why it failed */
  update(): string | null {
    if (!existsSync(this.sources)) return `there is no ${this.sources} to take mirrors from`;
    const failures: string[] = [];
    for (const name of [this.suite, ...OTHER_NAMES.filter((n) => n !== this.suite)]) {
      this.ask(name);
      const r = this.apt("apt-get", "update");
      if (!r.ok) failures.push(`${name}: ${reasonOf(r.err)}`);
      else if (this.isSuite(name)) return null;
    }
    this.ask(this.suite);
    return `no signed index of Debian's ${this.suite} for riscv64 from this machine's mirror (${failures.join("; ")})`;
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
      if (!r.ok) return `${name} cannot be fetched: ${reasonOf(r.err)}`;
    }
    for (const deb of readdirSync(this.folder).filter((f) => f.endsWith(".deb"))) {
      const r = this.run("dpkg-deb", ["-x", deb, this.unpacked], this.folder);
      if (!r.ok) return `${deb} cannot be unpacked: ${reasonOf(r.err)}`;
    }
    return null;
  }

  /** The first unpacked file whose path matches, or null. */
  find(pattern: RegExp): string | null {
    if (!existsSync(this.unpacked)) return null;
    const name = readdirSync(this.unpacked, { recursive: true }).map(String).find((f) => pattern.test(f));
    return name === undefined ? null : join(this.unpacked, name);
  }
}

/** Debian's kernel with its modules, fetched if it is not there yet. => its path and that of the modules, or why there is none */
export function debianKernel(root: string, suite: string): { path: string; modules: string | null } | { reason: string } {
  const debian = new DebianRiscv(root, suite), image = /(^|\/)vmlinu[xz][^/]*$/, list = /(^|\/)modules\.builtin$/;
  const withModules = (path: string): { path: string; modules: string | null } => {
    const builtin = debian.find(list);
    return { path, modules: builtin === null ? null : dirname(builtin) };
  };
  const found = debian.find(image);
  if (found !== null) return withModules(found);
  const failed = debian.update();
  if (failed !== null) return { reason: failed };
  // The image lies in the package itself, or in one beside it; so do the modules.
  const names = debian.depends("linux-image-riscv64").filter((n) => /^linux-(image|binary|modules)-[0-9]/.test(n));
  const error = debian.fetch(names.length > 0 ? names : ["linux-image-riscv64"]), path = debian.find(image);
  return path === null ? { reason: error ?? `no kernel image in Debian's ${suite} for riscv64` } : withModules(path);
}

/** Debian's busybox-static, fetched if it is not there yet. => its path, or why there is none */
export function debianBusybox(root: string, suite: string): { path: string } | { reason: string } {
  const debian = new DebianRiscv(root, suite), program = /(^|\/)bin\/busybox$/, found = debian.find(program);
  if (found !== null) return { path: found };
  const failed = debian.update() ?? debian.fetch(["busybox-static"]), path = debian.find(program);
  return path === null ? { reason: failed ?? "the package has no busybox" } : { path };
}
