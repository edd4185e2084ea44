// Paths to vnodes.
//
//   "a/b/c" from dir:  a ─► cross mounts, follow links ─► b ─► … ─► the directory of the last name, and what it names
//
// Search permission is checked on each directory through the credentials. At most 40 links are followed. References: the
// result's directory and vnode are referenced; `done` of the result gives them back.
import { EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import type { Vfs } from "./vfs.ts";
import { NAME_MAX, VDIR, VLNK, type Vnode } from "./vnode.ts";

export const PATH_MAX = 4096;
const MAX_LINKS = 40;

/** Whoever looks: kern's Cred. Rights are 4 read, 2 write, 1 search. */
export interface Searcher { mayAccess(want: number, uid: number, gid: number, mode: number, isDir: boolean): boolean }

export interface NameiOptions {
  /** Follow a link that is the last component. */
  readonly follow: boolean;
  readonly root: Vnode;
  readonly cred: Searcher;
  /** The last name need not exist: vnode is null then. */
  readonly create?: boolean;
}

/** A path looked up. */
export class NameiResult {
  /** Directory of the last name, referenced. */
  readonly dir: Vnode;
  /** The last name: "." for "/" and for paths that end in it. */
  readonly leaf: string;
  /** What it names, referenced; null: nothing yet. */
  readonly vnode: Vnode | null;
  /** The path ended in a slash: it must be a directory. */
  readonly mustBeDir: boolean;

  constructor(dir: Vnode, leaf: string, vnode: Vnode | null, mustBeDir: boolean) {
    this.dir = dir;
    this.leaf = leaf;
    this.vnode = vnode;
    this.mustBeDir = mustBeDir;
  }

  /** Gives both references back. */
  *done(): KGen<void> {
    yield* this.dir.vrele();
    if (this.vnode) yield* this.vnode.vrele();
  }

  /** Gives the directory back; the vnode stays with the caller. */
  *keepVnode(): KGen<Vnode> {
    yield* this.dir.vrele();
    return this.vnode!;
  }
}

/**
 * Looks a path up. BSD: namei(9).
 *
 * => path: not empty bytes as characters; start: where a relative one begins
 * => the result; -ENOENT, -ENOTDIR, -EACCES, -ELOOP, -ENAMETOOLONG, or what the file system says
 */
export function* namei(vfs: Vfs, start: Vnode, path: string, o: NameiOptions): KGen<NameiResult | number> {
  let rest = path, links = 0;
  if (path === "") return -ENOENT;
  if (path.length >= PATH_MAX) return -ENAMETOOLONG;
  let dir = path[0] === "/" ? o.root : start;
  dir.vref();
  for (;;) {
    const step = splitFirst(rest), { name, isLast, trailing } = step;
    if (dir.type !== VDIR) return yield* fail(dir, -ENOTDIR);
    if (name === "") return new NameiResult(dir, ".", ref(dir), true);
    if (name.length > NAME_MAX) return yield* fail(dir, -ENAMETOOLONG);
    const a = dir.getattr();
    if (!o.cred.mayAccess(1, a.uid, a.gid, a.mode, true)) return yield* fail(dir, -EACCES);
    const found = yield* lookupOne(vfs, dir, name, o.root);
    if (typeof found === "number") {
      if (found === -ENOENT && isLast && o.create) return new NameiResult(dir, name, null, trailing);
      return yield* fail(dir, found);
    }
    if (found.type === VLNK && (!isLast || o.follow || trailing)) {
      if (++links > MAX_LINKS) return yield* fail(dir, -ELOOP, found);
      const target = yield* found.readlink();
      found.accessed();
      yield* found.vrele();
      if (typeof target === "number") return yield* fail(dir, target);
      if (target === "") return yield* fail(dir, -ENOENT);
      rest = isLast ? target + (trailing ? "/" : "") : `${target}/${step.rest}`;
      if (rest.length >= PATH_MAX) return yield* fail(dir, -ENAMETOOLONG);
      if (target[0] === "/") {
        yield* dir.vrele();
        dir = o.root;
        dir.vref();
      }
      continue;
    }
    if (isLast) {
      if (trailing && found.type !== VDIR) return yield* fail(dir, -ENOTDIR, found);
      return new NameiResult(dir, name, found, trailing);
    }
    yield* dir.vrele();
    dir = found;
    ({ rest } = step);
  }
}

function ref(v: Vnode): Vnode {
  v.vref();
  return v;
}

function* fail(dir: Vnode, error: number, also?: Vnode): KGen<number> {
  if (also) yield* also.vrele();
  yield* dir.vrele();
  return error;
}

/** The first name, and whether more follow it than slashes. */
function splitFirst(path: string): { name: string; rest: string; isLast: boolean; trailing: boolean } {
  let from = 0;
  while (path[from] === "/") from++;
  let to = from;
  while (to < path.length && path[to] !== "/") to++;
  let next = to;
  while (path[next] === "/") next++;
  return { name: path.slice(from, to), rest: path.slice(next), isLast: next >= path.length, trailing: next > to && next >= path.length };
}

/** One name in a directory, mounts crossed. => referenced */
function* lookupOne(vfs: Vfs, dir: Vnode, name: string, root: Vnode): KGen<Vnode | number> {
  if (name === ".") return ref(dir);
  if (name === "..") return yield* vfs.parent(dir, root);
  const found = yield* dir.lookup(name);
  return typeof found === "number" ? found : yield* vfs.descend(found);
}
