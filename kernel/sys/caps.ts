// capget(2) and capset(2), three versions of their structures.
import { EINVAL, EPERM, ESRCH } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { CapSet, mayCapset } from "../kern/caps.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { argUOf, getView, putBytes, type Row, slow } from "./args.ts";

const VERSION_1 = 0x19980330, VERSION_2 = 0x20071026, VERSION_3 = 0x20080522;

interface Header { readonly pid: number; readonly words: number }

/** struct __user_cap_header_struct. => -EINVAL: a version we do not know; ours was put there */
function* header(k: Kern, t: Thread): KGen<Header | number> {
  const d = yield* getView(k, t, argUOf(t, 0), 8);
  if (typeof d === "number") return d;
  const version = d.getUint32(0, true);
  if (version === VERSION_1 || version === VERSION_2 || version === VERSION_3) return { pid: d.getInt32(4, true), words: version === VERSION_1 ? 1 : 2 };
  d.setUint32(0, VERSION_3, true);
  const err = yield* putBytes(k, t, argUOf(t, 0), new Uint8Array(d.buffer));
  return err < 0 ? err : -EINVAL;
}

function* capget(k: Kern, t: Thread): KGen<number> {
  const h = yield* header(k, t), va = argUOf(t, 1);
  if (typeof h === "number") return h === -EINVAL && va === 0 ? 0 : h;
  if (h.pid < 0) return -EINVAL;
  const p = h.pid === 0 ? t.proc : k.threads.get(h.pid)?.proc ?? k.procs.get(h.pid);
  if (!p) return -ESRCH;
  if (va === 0) return 0;
  const { effective, permitted, inheritable } = p.cred.caps, sets = [effective, permitted, inheritable];
  const words = [...sets.map((s) => s.lo), ...(h.words === 1 ? [] : sets.map((s) => s.hi))];
  return yield* putBytes(k, t, va, new Uint8Array(Int32Array.from(words).buffer));
}

function* capset(k: Kern, t: Thread): KGen<number> {
  const h = yield* header(k, t), p = t.proc;
  if (typeof h === "number") return h;
  if (h.pid !== 0 && h.pid !== t.tid) return -EPERM;
  const d = yield* getView(k, t, argUOf(t, 1), 12 * h.words);
  if (typeof d === "number") return d;
  const set = (at: number): CapSet => new CapSet(d.getInt32(at, true), h.words === 1 ? 0 : d.getInt32(12 + at, true));
  const neu = { effective: set(0), permitted: set(4), inheritable: set(8) };
  if (!mayCapset(p.cred.caps, neu)) return -EPERM;
  p.cred = p.cred.withCaps({ ...p.cred.caps, ...neu });
  return 0;
}

export const CAPS_CALLS: readonly Row[] = [slow(90, "capget", "xx", capget), slow(91, "capset", "xx", capset)];
