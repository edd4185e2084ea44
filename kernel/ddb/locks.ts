// Who holds which lock. Simple locks are held only in the middle of an update; a sleeping thread that holds one is a bug.
import type { Kernel } from "../kernel.ts";
import { threads } from "./ps.ts";

export interface LockLine {
  readonly lock: string;
  readonly kind: "simple" | "shared" | "exclusive";
  /** The holder; shared holders are only counted. */
  readonly holder: string;
}

/** Simple locks of every thread, and the sleepable locks of maps. */
export function locks(kernel: Kernel): LockLine[] {
  const lines: LockLine[] = [];
  for (const t of threads(kernel)) for (const l of t.locks) lines.push({ lock: l.name, kind: "simple", holder: t.name });
  const seen = new Set<object>();
  for (const p of kernel.kern.procs.values()) {
    const { lock } = p.vmspace.map;
    if (seen.has(lock)) continue;
    seen.add(lock);
    if (lock.writer !== null) lines.push({ lock: `${lock.name} of pid ${p.pid}`, kind: "exclusive", holder: lock.writer.name });
    else if (lock.readers > 0) lines.push({ lock: `${lock.name} of pid ${p.pid}`, kind: "shared", holder: `${lock.readers} readers` });
  }
  return lines;
}
