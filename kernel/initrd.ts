// The initial RAM disk: an archive of files in RAM ("newc" cpio), unpacked over the root before process 1 starts. So files of
// the host come into the guest.
//
//   "070701" | 13 fields of 8 hex digits | name NUL, padded to 4 | contents, padded to 4 | … | "TRAILER!!!"
import { EEXIST, EINVAL } from "./lib/errno.ts";
import type { KGen } from "./lib/kthread.ts";
import { latin1, Uio, UIO_WRITE } from "./uvm/uio.ts";
import { namei } from "./vfs/namei.ts";
import type { Vfs } from "./vfs/vfs.ts";
import { typeOfMode, VDIR, VLNK, type Vnode, VREG } from "./vfs/vnode.ts";

const HEADER = 110, MODE = 1, SIZE = 6, NAME_SIZE = 11, END = "TRAILER!!!";
const ALLOWED = { mayAccess: () => true };

/** One member. */
interface Member { path: string; mode: number; data: Uint8Array }

/** The members of an archive, or what is wrong with it. */
function* members(archive: Uint8Array): Generator<Member | string> {
  for (let at = 0; at + HEADER <= archive.length;) {
    const header = latin1(archive.subarray(at, at + HEADER));
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(header)) return yield `no cpio header at byte ${at}`;
    const field = (i: number): number => parseInt(header.slice(6 + 8 * i, 14 + 8 * i), 16);
    const name = at + HEADER, data = (name + field(NAME_SIZE) + 3) & ~3, next = (data + field(SIZE) + 3) & ~3;
    if (data + field(SIZE) > archive.length) return yield `the member at byte ${at} is longer than the archive`;
    const path = latin1(archive.subarray(name, name + field(NAME_SIZE) - 1));
    if (path === END) return;
    yield { path: path.replace(/^\/+/, ""), mode: field(MODE), data: archive.subarray(data, data + field(SIZE)) };
    at = next;
  }
}

/** Unpacks an archive below the root. Existing directories stay, existing files are replaced. => 0, -EINVAL, or what failed */
export function* unpackInitrd(vfs: Vfs, archive: Uint8Array): KGen<number> {
  for (const m of members(archive)) {
    if (typeof m === "string") {
      vfs.complain(`initrd: ${m}`);
      return -EINVAL;
    }
    const error = yield* unpackOne(vfs, m);
    if (error < 0) {
      vfs.complain(`initrd: ${m.path}: error ${-error}`);
      return error;
    }
  }
  return 0;
}

function* unpackOne(vfs: Vfs, m: Member): KGen<number> {
  const type = typeOfMode(m.mode), root = vfs.rootVnode;
  if (m.path === "" || m.path === ".") return 0;
  const found = yield* namei(vfs, root, m.path, { follow: false, root, cred: ALLOWED, create: true });
  if (typeof found === "number") return found;
  let error = 0;
  if (found.vnode && !(type === VDIR && found.vnode.type === VDIR)) error = found.vnode.type === VDIR ? -EEXIST : yield* found.dir.unlink(found.leaf);
  if (error === 0 && !(found.vnode && type === VDIR)) {
    const v = yield* found.dir.create(found.leaf, { type, mode: m.mode & 0o7777, uid: 0, gid: 0, ...(type === VLNK ? { target: latin1(m.data) } : {}) });
    if (typeof v === "number") error = v;
    else {
      if (type === VREG) error = yield* fill(vfs, v, m.data);
      yield* v.vrele();
    }
  }
  yield* found.done();
  return error;
}

function* fill(vfs: Vfs, v: Vnode, data: Uint8Array): KGen<number> {
  for (let at = 0; at < data.length;) {
    const n = yield* v.write(Uio.kernel(vfs.uvm, data.subarray(at, at + 65536), UIO_WRITE), at);
    if (n < 0) return n;
    at += n;
  }
  return 0;
}
