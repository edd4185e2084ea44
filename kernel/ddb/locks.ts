// Who holds which lock, and who waits for it. Simple locks are held only in the middle of an update; a sleeping thread that
// holds one is a bug. Sleepable locks know their writer by name; of readers there is only the number.
import type { Kernel } from "../kernel.ts";
import { KRwLock } from "../lib/klock.ts";
import { Ext2Mount } from "../vfs/ext2/mount.ts";
import { GenfsVnode } from "../vfs/genfs.ts";
import { vnodes } from "./objects.ts";
import { threads } from "./ps.ts";

export interface LockLine {
  readonly lock: string;
  readonly kind: "simple" | "shared" | "exclusive" | "free";
  /** The holder; shared holders are only counted. */
  readonly holder: string;
  /** Threads that sleep on it. */
  readonly waiters: readonly string[];
}

/** Sleepable locks that can be reached, by name: of maps, vnodes, file systems, and whatever a thread sleeps on. */
export function rwLocks(kernel: Kernel): Map<KRwLock, string> {
  const found = new Map<KRwLock, string>(), { kern, vfs, uvm } = kernel;
  found.set(uvm.kernelMap.lock, "kernel map");
  for (const p of kern.procs.values()) if (!found.has(p.vmspace.map.lock)) found.set(p.vmspace.map.lock, `map of pid ${p.pid}`);
  for (const v of vnodes(kernel)) {
    found.set(v.lock, `vnode lock of ${kern.pathOfVnode(v)}`);
    if (v instanceof GenfsVnode) found.set(v["nodeLock"], `genfs node of ${kern.pathOfVnode(v)}`);
  }
  for (const m of vfs.allMounts) if (m instanceof Ext2Mount) found.set(m.fs.lock, `ext2 of ${m.path}`);
  for (const t of threads(kernel)) if (t.sleep?.chan instanceof KRwLock && !found.has(t.sleep.chan)) found.set(t.sleep.chan, t.sleep.chan.name);
  return found;
}

/** Locks that are held or waited for. */
export function locks(kernel: Kernel): LockLine[] {
  const lines: LockLine[] = [], all = threads(kernel);
  for (const t of all) for (const l of t.locks) lines.push({ lock: l.name, kind: "simple", holder: t.name, waiters: [] });
  for (const [lock, name] of rwLocks(kernel)) {
    const waiters = all.filter((t) => t.sleep?.chan === lock).map((t) => t.name);
    if (lock.writer !== null) lines.push({ lock: name, kind: "exclusive", holder: lock.writer.name, waiters });
    else if (lock.readers > 0) lines.push({ lock: name, kind: "shared", holder: `${lock.readers} reader${lock.readers > 1 ? "s" : ""}`, waiters });
    else if (waiters.length > 0) lines.push({ lock: name, kind: "free", holder: "", waiters });
  }
  return lines;
}
