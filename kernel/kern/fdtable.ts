// Descriptors of a process: a table of open files with a close-on-exec bit each. The lowest free number is given out.
import { EBADF, EINVAL, EMFILE } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { fileRelease, type OpenFile } from "./file.ts";
import { dropRecordLocks } from "./filelock.ts";

/** Nobody may open more, whatever RLIMIT_NOFILE says. */
export const NOFILE_MAX = 65536;

export class FdTable {
  /** Processes (and threads made with CLONE_FILES) that use it. */
  refs = 1;
  readonly files: (OpenFile | null)[] = [];
  private readonly cloexec: boolean[] = [];
  /** No free slot below. */
  private firstFree = 0;

  /** The file, or null. */
  get(fd: number): OpenFile | null {
    return this.files[fd] ?? null;
  }

  /** Puts a file in the lowest free slot from `min`. => the reference passes to the table on success; -EMFILE */
  alloc(f: OpenFile, limit: number, isCloexec: boolean, min = 0): number {
    let fd = Math.max(min, min <= this.firstFree ? this.firstFree : min);
    while (fd < this.files.length && this.files[fd]) fd++;
    if (fd >= Math.min(limit, NOFILE_MAX)) return -EMFILE;
    this.put(fd, f, isCloexec);
    if (min <= this.firstFree) this.firstFree = fd + 1;
    return fd;
  }

  private put(fd: number, f: OpenFile | null, isCloexec: boolean): void {
    while (this.files.length <= fd) {
      this.files.push(null);
      this.cloexec.push(false);
    }
    this.files[fd] = f;
    this.cloexec[fd] = isCloexec;
  }

  /** Empties a slot. => its file, whose reference passes to the caller, or null */
  take(fd: number): OpenFile | null {
    const f = this.files[fd] ?? null;
    if (!f) return null;
    this.files[fd] = null;
    this.firstFree = Math.min(this.firstFree, fd);
    if ((f.vnode ?? f).locks !== null) dropRecordLocks(f, this);
    return f;
  }

  /** Puts a file in exactly this slot (dup2). => what was there, for the caller to release; -EBADF beyond the limit */
  set(fd: number, f: OpenFile, limit: number, isCloexec: boolean): OpenFile | null | number {
    if (fd < 0 || fd >= Math.min(limit, NOFILE_MAX)) return -EBADF;
    const old = this.files[fd] ?? null;
    if (old && (old.vnode ?? old).locks !== null) dropRecordLocks(old, this);
    this.put(fd, f, isCloexec);
    return old;
  }

  isCloexec(fd: number): boolean {
    return this.cloexec[fd] === true;
  }

  setCloexec(fd: number, on: boolean): void {
    this.cloexec[fd] = on;
  }

  /** F_DUPFD. */
  dup(fd: number, min: number, limit: number, isCloexec: boolean): number {
    const f = this.get(fd);
    if (!f) return -EBADF;
    if (min < 0 || min >= limit) return -EINVAL;
    f.refs++;
    const r = this.alloc(f, limit, isCloexec, min);
    if (r < 0) f.refs--;
    return r;
  }

  /** A table with the same files, for fork. */
  copy(): FdTable {
    const t = new FdTable();
    for (let fd = 0; fd < this.files.length; fd++) {
      const f = this.files[fd] ?? null;
      if (f) f.refs++;
      t.put(fd, f, this.isCloexec(fd));
    }
    t.firstFree = this.firstFree;
    return t;
  }

  /** Closes what exec closes. => may sleep */
  *closeOnExec(): KGen<void> {
    for (let fd = 0; fd < this.files.length; fd++) {
      if (!this.files[fd] || !this.isCloexec(fd)) continue;
      const f = this.take(fd);
      if (f) yield* fileRelease(f);
    }
  }

  /** One user fewer; the last closes everything. => may sleep */
  *release(): KGen<void> {
    if (--this.refs > 0) return;
    for (let fd = 0; fd < this.files.length; fd++) {
      const f = this.take(fd);
      if (f) yield* fileRelease(f);
    }
  }

  /** Numbers in use, ascending. */
  list(): number[] {
    return this.files.flatMap((f, fd) => (f ? [fd] : []));
  }
}
