// Modules of a Linux kernel, as a package of Debian has them: which must be loaded for some, and in what order. The lists that
// depmod makes are not in the package, so each module is asked:
//
//   .modinfo   name=ext4 NUL  depends=jbd2,mbcache NUL  softdep=pre: crypto-crc32c NUL  alias=fs-ext2 NUL …
//
// "depends" are names of modules. "softdep" are names or aliases, wanted and not needed; whose alias one is, is told by the
// module itself, and looked for among those whose file's name begins like it ("crypto-crc32c": crc32c*).
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const FILE = /^(.+)\.ko(\.\w+)?$/, SHDR_BYTES = 64;

/** What a module says of itself. */
export interface ModuleInfo { readonly depends: readonly string[]; readonly before: readonly string[]; readonly aliases: readonly string[] }

/** Where modules come from. Names are the kernel's: with "_", not "-". */
export interface ModuleSource {
  /** Whether it is a part of the kernel itself. */
  isBuiltin(name: string): boolean;
  /** Names of modules that begin so. */
  startingWith(prefix: string): string[];
  /** => null: there is no such module */
  info(name: string): ModuleInfo | null;
}

const underscored = (name: string): string => name.replaceAll("-", "_");

/** The bytes of a section of an ELF64 file, or none. */
export function elfSection(bytes: Uint8Array, name: string): Uint8Array {
  const v = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), table = Number(v.getBigUint64(40, true)), count = v.getUint16(60, true), names = v.getUint16(62, true);
  const body = (i: number): Uint8Array => {
    const at = table + i * SHDR_BYTES, from = Number(v.getBigUint64(at + 24, true));
    return bytes.subarray(from, from + Number(v.getBigUint64(at + 32, true)));
  };
  const text = Buffer.from(body(names)).toString("latin1");
  for (let i = 0; i < count; i++) {
    const at = v.getUint32(table + i * SHDR_BYTES, true);
    if (text.slice(at, text.indexOf("\0", at)) === name) return body(i);
  }
  return new Uint8Array(0);
}

/** Reads the section .modinfo. */
export function parseModinfo(section: Uint8Array): ModuleInfo {
  const fields = Buffer.from(section).toString("latin1").split("\0").map((f) => [f.slice(0, f.indexOf("=")), f.slice(f.indexOf("=") + 1)] as const);
  const all = (key: string): string[] => fields.filter(([k]) => k === key).map(([, value]) => value);
  const depends = all("depends").flatMap((d) => d.split(",")).filter(Boolean).map(underscored);
  const before = all("softdep").flatMap((s) => (/pre:\s*(.*?)(\s*post:|$)/.exec(s)?.[1] ?? "").split(/\s+/)).filter(Boolean);
  return { depends, before, aliases: all("alias") };
}

/** Who a softdep means: a module by its name or alias. => null: nobody, or a part of the kernel */
function provider(source: ModuleSource, wanted: string): string | null {
  const name = underscored(wanted);
  if (source.isBuiltin(name)) return null;
  if (source.info(name) !== null) return name;
  const found = source.startingWith(underscored(wanted.replace(/^crypto-/, ""))).filter((m) => source.info(m)?.aliases.some((a) => underscored(a) === name));
  return found[0] ?? null;
}

/**
 * The modules to load for some, what each needs before it.
 *
 * => throws Error when one is not there that is needed
 */
export function loadOrder(source: ModuleSource, wanted: readonly string[]): string[] {
  const order: string[] = [], seen = new Set<string>();
  const visit = (name: string, forWhom: string): void => {
    if (seen.has(name) || source.isBuiltin(name)) return;
    seen.add(name);
    const info = source.info(name);
    if (info === null) throw new Error(`there is no module ${name}${forWhom === "" ? "" : `, which ${forWhom} needs`}`);
    for (const d of info.depends) visit(d, name);
    for (const soft of info.before) {
      const found = provider(source, soft);
      if (found !== null) visit(found, name);
    }
    order.push(name);
  };
  for (const name of wanted) visit(underscored(name), "");
  return order;
}

/** Modules below a folder such as lib/modules/VERSION. Those that are compressed by xz are unpacked by xz. */
export class ModuleFolder implements ModuleSource {
  private readonly files = new Map<string, string>();
  private readonly builtin = new Set<string>();
  private readonly contents = new Map<string, Uint8Array>();

  constructor(folder: string) {
    const nameOf = (path: string): string | null => {
      const m = FILE.exec(basename(path));
      return m === null ? null : underscored(m[1]!);
    };
    for (const path of readdirSync(folder, { recursive: true }).map(String)) {
      const name = nameOf(path);
      if (name !== null) this.files.set(name, join(folder, path));
    }
    for (const path of readFileSync(join(folder, "modules.builtin"), "latin1").split("\n")) {
      const name = nameOf(path);
      if (name !== null) this.builtin.add(name);
    }
  }

  isBuiltin(name: string): boolean {
    return this.builtin.has(name);
  }

  startingWith(prefix: string): string[] {
    return [...this.files.keys()].filter((name) => name.startsWith(prefix)).sort();
  }

  info(name: string): ModuleInfo | null {
    return this.files.has(name) ? parseModinfo(elfSection(this.bytes(name), ".modinfo")) : null;
  }

  /** The module as the kernel takes it. => throws Error when it cannot be unpacked */
  bytes(name: string): Uint8Array {
    const known = this.contents.get(name), path = this.files.get(name)!;
    if (known !== undefined) return known;
    const bytes = path.endsWith(".ko") ? readFileSync(path) : unxz(path);
    this.contents.set(name, bytes);
    return bytes;
  }
}

function unxz(path: string): Uint8Array {
  if (!path.endsWith(".xz")) throw new Error(`module ${basename(path)} is compressed in a way that is not known here`);
  const r = spawnSync("xz", ["-dc", path], { maxBuffer: 1 << 28 });
  if (r.error !== undefined) throw new Error(`xz is not installed (Debian has it in the package xz-utils), and ${basename(path)} must be unpacked`);
  if (r.status !== 0) throw new Error(`${basename(path)} cannot be unpacked: ${String(r.stderr).trim()}`);
  return r.stdout;
}
