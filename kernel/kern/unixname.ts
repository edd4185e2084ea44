// Names of AF_UNIX sockets: paths, which are VSOCK nodes of a file system, and abstract names, which begin with a NUL and live as
// long as their socket.
import { EACCES, EADDRINUSE, ECONNREFUSED, EINVAL } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { latin1, toBytes } from "../uvm/uio.ts";
import { namei } from "../vfs/namei.ts";
import { VDIR, VSOCK, type Vnode } from "../vfs/vnode.ts";
import type { Kern } from "./kern.ts";
import type { Thread } from "./proc.ts";
import { AF_UNIX, type Socket } from "./socket.ts";

const PATH_BYTES = 108, AUTO_NAMES = 1 << 20;

function mayOn(t: Thread, v: Vnode, want: number): boolean {
  const a = v.getattr();
  return t.proc.cred.mayAccess(want, a.uid, a.gid, a.mode, v.type === VDIR);
}

/** The path or abstract name in a sockaddr. => "" for none; -EINVAL */
function nameIn(addr: Uint8Array): string | number {
  if (addr.length < 2 || addr.length > PATH_BYTES + 2) return -EINVAL;
  if ((addr[0]! | (addr[1]! << 8)) !== AF_UNIX) return -EINVAL;
  const name = latin1(addr.subarray(2));
  return name === "" || name[0] === "\0" ? name : name.replace(/\0.*$/s, "");
}

export class UnixNames {
  private readonly k: Kern;
  private readonly abstract = new Map<string, Socket>();
  private nextAuto = 0;

  constructor(k: Kern) {
    this.k = k;
  }

  /** Gives a socket a name: a path, an abstract one, or of an address without any a free one. */
  *bind(s: Socket, addr: Uint8Array, t: Thread): KGen<number> {
    const name = nameIn(addr);
    if (typeof name === "number") return name;
    if (name === "") return this.autobind(s);
    if (s.isBound) return -EINVAL;
    if (name[0] === "\0") return this.take(s, name);
    const found = yield* namei(this.k.vfs, t.proc.cwd!, name, { follow: false, root: t.proc.root!, cred: t.proc.cred, create: true });
    if (typeof found === "number") return found;
    const { euid: uid, egid: gid } = t.proc.cred;
    const refusal = found.vnode ? -EADDRINUSE : mayOn(t, found.dir, 3) ? 0 : -EACCES;
    const v = refusal < 0 ? refusal : yield* found.dir.create(found.leaf, { type: VSOCK, mode: 0o777 & ~t.proc.umask, uid, gid });
    yield* found.done();
    if (typeof v === "number") return v;
    v.special = s;
    s.vnode = v;
    s.name = Uint8Array.of(AF_UNIX, 0, ...toBytes(name), 0);
    return 0;
  }

  private take(s: Socket, name: string): number {
    if (this.abstract.has(name)) return -EADDRINUSE;
    this.abstract.set(name, s);
    s.name = Uint8Array.of(AF_UNIX, 0, ...toBytes(name));
    return 0;
  }

  /** An abstract name that nobody has, of five digits, unless the socket has one already. */
  autobind(s: Socket): number {
    if (s.isBound) return 0;
    for (;;) {
      const name = `\0${(this.nextAuto++ % AUTO_NAMES).toString(16).padStart(5, "0")}`;
      if (!this.abstract.has(name)) return this.take(s, name);
    }
  }

  /** The socket that an address names. => -ECONNREFUSED when nobody has it bound */
  *lookup(addr: Uint8Array, t: Thread): KGen<Socket | number> {
    const name = nameIn(addr);
    if (typeof name === "number") return name;
    if (name === "") return -EINVAL;
    if (name[0] === "\0") return this.abstract.get(name) ?? -ECONNREFUSED;
    const found = yield* namei(this.k.vfs, t.proc.cwd!, name, { follow: true, root: t.proc.root!, cred: t.proc.cred });
    if (typeof found === "number") return found;
    const v = found.vnode!, s = v.type === VSOCK ? (v.special as Socket | null) : null, isAllowed = mayOn(t, v, 2);
    yield* found.done();
    return isAllowed ? s ?? -ECONNREFUSED : -EACCES;
  }

  /** The socket closes. Accepted ends bear the listener's name; only who bound it gives it up. */
  *release(s: Socket): KGen<void> {
    if (this.abstract.get(s.path) === s) this.abstract.delete(s.path);
    const { vnode } = s;
    if (!vnode) return;
    s.vnode = null;
    vnode.special = null;
    yield* vnode.vrele();
  }
}
