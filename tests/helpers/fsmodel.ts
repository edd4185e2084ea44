// A file system as a tree of objects, against which the real ones are judged: the same operation on both must give the same
// result, and afterwards the trees must be equal.
import * as E from "../../kernel/lib/errno.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../../kernel/vfs/vnode.ts";
import type { FsBox } from "./fsbox.ts";

type ModelNode = { kind: "file"; bytes: Uint8Array; links: number } | { kind: "dir"; names: Map<string, ModelNode> } | { kind: "link"; target: string; links: number };
type ModelDir = Extract<ModelNode, { kind: "dir" }>;

export class FsModel {
  readonly root: ModelDir = { kind: "dir", names: new Map() };

  private dirOf(path: string): { dir: ModelDir; leaf: string } | number {
    const names = path.split("/").filter((n) => n !== ""), leaf = names.pop() ?? "";
    let dir: ModelNode = this.root;
    for (const n of names) {
      // The model's links lead nowhere.
      if (dir.kind !== "dir") return dir.kind === "link" ? -E.ENOENT : -E.ENOTDIR;
      const next: ModelNode | undefined = dir.names.get(n);
      if (!next) return -E.ENOENT;
      dir = next;
    }
    return dir.kind === "dir" ? { dir, leaf } : dir.kind === "link" ? -E.ENOENT : -E.ENOTDIR;
  }

  find(path: string): ModelNode | number {
    const at = this.dirOf(path);
    if (typeof at === "number") return at;
    return at.leaf === "" ? at.dir : at.dir.names.get(at.leaf) ?? -E.ENOENT;
  }

  add(path: string, node: ModelNode): number {
    const at = this.dirOf(path);
    if (typeof at === "number") return at;
    if (at.dir.names.has(at.leaf)) return -E.EEXIST;
    at.dir.names.set(at.leaf, node);
    return 0;
  }

  creat = (path: string): number => this.add(path, { kind: "file", bytes: new Uint8Array(0), links: 1 });
  mkdir = (path: string): number => this.add(path, { kind: "dir", names: new Map() });
  symlink = (target: string, path: string): number => this.add(path, { kind: "link", target, links: 1 });

  unlink(path: string): number {
    const at = this.dirOf(path), n = this.find(path);
    if (typeof at === "number" || typeof n === "number") return n as number;
    if (n.kind === "dir") return -E.EISDIR;
    n.links--;
    at.dir.names.delete(at.leaf);
    return 0;
  }

  rmdir(path: string): number {
    const at = this.dirOf(path), n = this.find(path);
    if (typeof at === "number" || typeof n === "number") return n as number;
    if (n.kind !== "dir") return -E.ENOTDIR;
    if (n.names.size > 0) return -E.ENOTEMPTY;
    at.dir.names.delete(at.leaf);
    return 0;
  }

  link(from: string, to: string): number {
    const n = this.find(from), at = this.dirOf(to);
    if (typeof n === "number") return n;
    if (typeof at === "number") return at;
    if (n.kind === "dir") return -E.EPERM;
    if (at.dir.names.has(at.leaf)) return -E.EEXIST;
    n.links++;
    at.dir.names.set(at.leaf, n);
    return 0;
  }

  private isBelow(dir: ModelNode, other: ModelNode): boolean {
    return dir === other || (other.kind === "dir" && [...other.names.values()].some((c) => this.isBelow(dir, c)));
  }

  rename(from: string, to: string, flags: number): number {
    const a = this.dirOf(from), n = this.find(from), b = this.dirOf(to);
    if (typeof a === "number" || typeof n === "number") return n as number;
    if (typeof b === "number") return b;
    const old = b.dir.names.get(b.leaf);
    if (old && (flags & RENAME_NOREPLACE) !== 0) return -E.EEXIST;
    if (!old && (flags & RENAME_EXCHANGE) !== 0) return -E.ENOENT;
    if (old === n) return 0;
    if (n.kind === "dir" && this.isBelow(b.dir, n)) return -E.EINVAL;
    if ((flags & RENAME_EXCHANGE) !== 0) {
      if (old!.kind === "dir" && this.isBelow(a.dir, old!)) return -E.EINVAL;
      a.dir.names.set(a.leaf, old!);
    } else {
      if (old && n.kind === "dir" && old.kind !== "dir") return -E.ENOTDIR;
      if (old && n.kind !== "dir" && old.kind === "dir") return -E.EISDIR;
      if (old?.kind === "dir" && old.names.size > 0) return -E.ENOTEMPTY;
      if (old && old.kind !== "dir") old.links--;
      a.dir.names.delete(a.leaf);
    }
    b.dir.names.set(b.leaf, n);
    return 0;
  }

  write(path: string, bytes: Uint8Array, offset: number): number {
    const n = this.find(path);
    if (typeof n === "number") return n;
    if (n.kind !== "file") return -E.EISDIR;
    if (offset + bytes.length > n.bytes.length) n.bytes = resized(n.bytes, offset + bytes.length);
    n.bytes.set(bytes, offset);
    return bytes.length;
  }

  truncate(path: string, size: number): number {
    const n = this.find(path);
    if (typeof n === "number") return n;
    if (n.kind !== "file") return n.kind === "dir" ? -E.EISDIR : -E.EINVAL;
    n.bytes = resized(n.bytes, size);
    return 0;
  }

  /** What differs between this tree and a mounted one, as lines. */
  compare(box: FsBox, ignore: readonly string[] = ["/lost+found"]): string[] {
    const wrong: string[] = [];
    const visit = (path: string, n: ModelNode): void => {
      const a = box.stat(path === "" ? "/" : path);
      if (typeof a === "number") return void wrong.push(`stat ${path}: ${a}`);
      if (n.kind !== "dir" && a.nlink !== n.links) wrong.push(`${path}: ${a.nlink} links, not ${n.links}`);
      if (n.kind === "link") {
        if (box.readlink(path) !== n.target) wrong.push(`${path}: another target`);
      } else if (n.kind === "file") {
        const bytes = box.read(path);
        if (typeof bytes === "number") wrong.push(`read ${path}: ${bytes}`);
        else if (bytes.length !== n.bytes.length) wrong.push(`${path}: ${bytes.length} bytes, not ${n.bytes.length}`);
        else if (Buffer.compare(bytes, n.bytes) !== 0) wrong.push(`${path}: differs at byte ${bytes.findIndex((b, i) => b !== n.bytes[i])}`);
      } else {
        const names = box.ls(path === "" ? "/" : path), want = [...n.names.keys()].sort();
        const got = typeof names === "number" ? [String(names)] : names.filter((x) => !ignore.includes(`${path}/${x}`));
        if (got.join() !== want.join()) return void wrong.push(`${path}/: ${got.join(" ")}, not ${want.join(" ")}`);
        for (const [name, child] of n.names) visit(`${path}/${name}`, child);
      }
    };
    visit("", this.root);
    return wrong;
  }
}

function resized(bytes: Uint8Array, size: number): Uint8Array {
  const neu = new Uint8Array(size);
  neu.set(bytes.subarray(0, size));
  return neu;
}

/** One random step on both. => what was done, and both results */
export function randomStep(box: FsBox, model: FsModel, r: (n: number) => number, top: string, largest: number): { what: string; got: number; want: number } {
  const name = (): string => {
    const leaf = `n${r(6)}`;
    return r(12) === 0 ? leaf.padEnd(1 + r(255), "y") : leaf;
  };
  const path = (): string => top + Array.from({ length: 1 + r(3) }, name).map((n) => `/${n}`).join("");
  const p = path(), q = path(), size = r(3) === 0 ? r(largest) : r(9000);
  switch (r(12)) {
    case 0: return { what: `mkdir ${p}`, got: box.mkdir(p), want: model.mkdir(p) };
    case 1: return { what: `symlink ${p}`, got: box.symlink("t".repeat(1 + (size % 200)), p), want: model.symlink("t".repeat(1 + (size % 200)), p) };
    case 2: return { what: `unlink ${p}`, got: box.unlink(p), want: model.unlink(p) };
    case 3: return { what: `rmdir ${p}`, got: box.rmdir(p), want: model.rmdir(p) };
    case 4: return { what: `link ${p} ${q}`, got: box.link(p, q), want: model.link(p, q) };
    case 5: case 6: {
      const flags = [0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE][r(5)]!;
      return { what: `rename ${p} ${q} ${flags}`, got: box.rename(p, q, flags), want: model.rename(p, q, flags) };
    }
    case 7: return { what: `truncate ${p} ${size}`, got: box.truncate(p, size), want: model.truncate(p, size) };
    case 8: return { what: `creat ${p}`, got: box.creat(p), want: model.creat(p) };
    default: {
      const n = model.find(p), bytes = new Uint8Array(1 + r(20000)), seed = r(256);
      if (typeof n === "number" || n.kind !== "file") return { what: `creat ${p}`, got: box.creat(p), want: model.creat(p) };
      for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7 + seed;
      return { what: `write ${p} ${bytes.length} at ${size}`, got: box.write(p, bytes, size), want: model.write(p, bytes, size) };
    }
  }
}
