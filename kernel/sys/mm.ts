// System calls about memory: Linux's flags on one side, uvm's terms on the other (uvm-spec section 7 for errors; Linux wins).
import { EACCES, EBADF, EBUSY, EFAULT, EINVAL, ENODEV, ENOMEM, EAGAIN, EPERM } from "../lib/errno.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { uaoCreate } from "../uvm/aobj.ts";
import { uvmMapClean, uvmMapDiscard } from "../uvm/mapclean.ts";
import { ADV_NORMAL, ADV_RANDOM, ADV_SEQUENTIAL, INH_COPY, INH_NONE, INH_SHARE, INH_ZERO, type VmMapEntry } from "../uvm/mapentry.ts";
import { isMapped, mappedBytes, uvmMapAdvise, uvmMapInherit, uvmMapProtect, uvmMapResident } from "../uvm/mapops.ts";
import { MAP_WIREFUTURE } from "../uvm/map.ts";
import { uvmMapPageable } from "../uvm/mapwire.ts";
import { uvmMap } from "../uvm/mmap.ts";
import { uvmMremap } from "../uvm/mremap.ts";
import { PGO_CLEANIT, PGO_FREE, PGO_SYNCIO, type UvmObject } from "../uvm/object.ts";
import { uvmUnmap } from "../uvm/unmap.ts";
import { uvmFault } from "../uvm/faultslow.ts";
import { uvmBrk } from "../uvm/vmspace.ts";
import { MNT_NOEXEC } from "../vfs/mount.ts";
import type { Kern } from "../kern/kern.ts";
import type { Thread } from "../kern/proc.ts";
import { RLIMIT_DATA } from "../kern/rlimit.ts";
import { argOf, argUOf, fast, intOf, putBytes, type Row, slow } from "./args.ts";
import { isData, mayMap } from "./limit.ts";
import { lockedBytes, mayMapLocked } from "./mlock.ts";

const PAGE = 4096;
const MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_TYPE = 15, MAP_SHARED_VALIDATE = 3, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_LOCKED = 0x2000;
const MAP_POPULATE = 0x8000, MAP_FIXED_NOREPLACE = 0x100000;
const MADV_NORMAL = 0, MADV_RANDOM = 1, MADV_SEQUENTIAL = 2, MADV_WILLNEED = 3, MADV_DONTNEED = 4, MADV_FREE = 8, MADV_DONTFORK = 10, MADV_DOFORK = 11;
const MADV_WIPEONFORK = 18, MADV_KEEPONFORK = 19, MADV_COLD = 20, MADV_PAGEOUT = 21;
const MS_ASYNC = 1, MS_INVALIDATE = 2, MS_SYNC = 4;

const roundUp = (n: number): number => Math.ceil(n / PAGE) * PAGE;
const isAligned = (n: number): boolean => n % PAGE === 0;

function* brk(_k: Kern, t: Thread): KGen<number> {
  const vm = t.proc.vmspace;
  const more = roundUp(argUOf(t, 0)) - roundUp(vm.brkEnd);
  vm.brkLimit = t.proc.limits.get(RLIMIT_DATA);
  if (more > 0 && (!mayMap(t, more, true) || mayMapLocked(t, more, false) < 0)) return vm.brkEnd;
  return yield* uvmBrk(vm, argUOf(t, 0));
}

/** What mmap(2) asked for. */
interface Backing {
  uobj: UvmObject | null;
  offset: number;
  maxprot: number;
}

function* backingOf(k: Kern, t: Thread, size: number, prot: number, flags: number): KGen<Backing | number> {
  const isShared = (flags & MAP_TYPE) !== MAP_PRIVATE, offset = argOf(t, 5);
  if ((flags & MAP_ANONYMOUS) !== 0) return { uobj: isShared ? uaoCreate(k.uvm, size) : null, offset: 0, maxprot: 7 };
  const f = t.proc.fds.get(intOf(t, 4));
  if (!f) return -EBADF;
  if (!f.ops.mmap) return -ENODEV;
  if (offset < 0 || !isAligned(offset) || offset + size > 2 ** 52) return -EINVAL;
  if (!f.isReadable || (isShared && (prot & PROT_WRITE) !== 0 && !f.isWritable)) return -EACCES;
  const isNoexec = f.vnode !== null && (f.vnode.mount.flags & MNT_NOEXEC) !== 0;
  if (isNoexec && (prot & PROT_EXEC) !== 0) return -EPERM;
  const b = yield* f.ops.mmap(f, offset, size, prot, isShared);
  if (typeof b === "number") return b;
  return { ...b, maxprot: (isShared && !f.isWritable ? 7 & ~PROT_WRITE : 7) & ~(isNoexec ? PROT_EXEC : 0) };
}

function* mmap(k: Kern, t: Thread): KGen<number> {
  const hint = argUOf(t, 0), len = argUOf(t, 1), prot = intOf(t, 2), flags = intOf(t, 3), type = flags & MAP_TYPE, { map } = t.proc.vmspace;
  if (len === 0 || (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE) || !isAligned(argOf(t, 5))) return -EINVAL;
  const size = roundUp(len), fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (size > map.max - map.min) return -ENOMEM;
  if (fixed && (!isAligned(hint))) return -EINVAL;
  if (fixed && !map.isRange(hint, hint + size)) return hint < map.min ? -EPERM : -ENOMEM;
  const replaced = fixed && (flags & MAP_FIXED_NOREPLACE) === 0 ? mappedBytes(map, hint, hint + size) : 0;
  if (!mayMap(t, size - replaced, type === MAP_PRIVATE && (prot & PROT_WRITE) !== 0)) return -ENOMEM;
  const err = mayMapLocked(t, size, (flags & MAP_LOCKED) !== 0);
  if (err < 0) return err;
  const b = yield* backingOf(k, t, size, prot & 7, flags);
  if (typeof b === "number") return b;
  const r = yield* uvmMap(map, {
    va: fixed ? hint : Math.min(Math.floor(hint / PAGE) * PAGE, map.max), fixed, noReplace: (flags & MAP_FIXED_NOREPLACE) !== 0, size, prot: prot & 7,
    maxprot: b.maxprot, uobj: b.uobj, offset: b.offset, copyOnWrite: type === MAP_PRIVATE, inherit: type === MAP_PRIVATE ? INH_COPY : INH_SHARE,
  });
  if (r < 0) {
    if (b.uobj) yield* b.uobj.pgops.detach(b.uobj);
    return r;
  }
  if ((flags & MAP_LOCKED) !== 0 && (prot & 7) !== 0 && (map.flags & MAP_WIREFUTURE) === 0) yield* uvmMapPageable(map, r, r + size, { wire: true });
  else if ((flags & MAP_POPULATE) !== 0 && (prot & 7) !== 0) yield* populate(k, t, r, size, prot & 7);
  return r;
}

/** Touches every page; failures wait for the program's own faults. */
function* populate(_k: Kern, t: Thread, va: number, size: number, prot: number): KGen<void> {
  const access = (prot & PROT_WRITE) !== 0 ? PROT_WRITE : PROT_READ;
  for (let at = va; at < va + size; at += PAGE) if ((yield* uvmFault(t.proc.vmspace.map, at, access)) < 0) return;
}

function* munmap(_k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), len = argUOf(t, 1), { map } = t.proc.vmspace;
  if (!isAligned(va) || len === 0 || len > map.max) return -EINVAL;
  const from = Math.max(va, map.min), to = Math.min(va + roundUp(len), map.max);
  if (va + roundUp(len) > map.max + PAGE) return -EINVAL;
  return to <= from ? 0 : yield* uvmUnmap(map, from, to);
}

/** Private memory that would count as data if it could be written. */
const isReadOnly = (e: VmMapEntry): boolean => e.isCopyOnWrite && (e.protection & PROT_WRITE) === 0;

function* mprotect(_k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), size = roundUp(argUOf(t, 1)), prot = intOf(t, 2), { map } = t.proc.vmspace;
  if (!isAligned(va) || (prot & ~0x300000f) !== 0) return -EINVAL;
  if (size === 0) return 0;
  if (!map.isRange(va, va + size) || !isMapped(map, va, va + size)) return -ENOMEM;
  if ((prot & PROT_WRITE) !== 0 && t.proc.limits.get(RLIMIT_DATA) !== Infinity && !mayMap(t, 0, true, mappedBytes(map, va, va + size, isReadOnly))) return -ENOMEM;
  return yield* uvmMapProtect(map, va, va + size, prot & 7);
}

function* madvise(_k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), size = roundUp(argUOf(t, 1)), advice = intOf(t, 2), { map } = t.proc.vmspace, end = va + size;
  if (!isAligned(va)) return -EINVAL;
  const known = [MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_DONTFORK, MADV_DOFORK, 14, 15, 16, 17,
    MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT];
  if (!known.includes(advice)) return -EINVAL;
  if (size === 0) return 0;
  if (!map.isRange(va, end)) return -ENOMEM;
  if (advice === MADV_DONTNEED) return yield* uvmMapDiscard(map, va, end);
  if (!isMapped(map, va, end)) return -ENOMEM;
  switch (advice) {
    case MADV_NORMAL: return yield* uvmMapAdvise(map, va, end, ADV_NORMAL);
    case MADV_RANDOM: return yield* uvmMapAdvise(map, va, end, ADV_RANDOM);
    case MADV_SEQUENTIAL: return yield* uvmMapAdvise(map, va, end, ADV_SEQUENTIAL);
    case MADV_FREE: return yield* uvmMapClean(map, va, end, PGO_FREE);
    case MADV_DONTFORK: return yield* uvmMapInherit(map, va, end, INH_NONE);
    case MADV_WIPEONFORK: return yield* uvmMapInherit(map, va, end, INH_ZERO);
    case MADV_DOFORK: case MADV_KEEPONFORK: return yield* uvmMapInherit(map, va, end, INH_COPY);
    default: return 0;
  }
}

function* msync(_k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), size = roundUp(argUOf(t, 1)), flags = intOf(t, 2), { map } = t.proc.vmspace;
  if (!isAligned(va) || (flags & ~7) !== 0 || (flags & (MS_ASYNC | MS_SYNC)) === (MS_ASYNC | MS_SYNC)) return -EINVAL;
  if (size === 0) return 0;
  if (!map.isRange(va, va + size) || !isMapped(map, va, va + size)) return -ENOMEM;
  if ((flags & MS_INVALIDATE) !== 0) {
    for (let e = map.firstFrom(va); e !== map.header && e.start < va + size; e = e.next) if (e.wiredCount > 0) return -EBUSY;
  }
  return (flags & MS_SYNC) !== 0 ? yield* uvmMapClean(map, va, va + size, PGO_CLEANIT | PGO_SYNCIO) : 0;
}

function* mincore(k: Kern, t: Thread): KGen<number> {
  const va = argUOf(t, 0), size = roundUp(argUOf(t, 1)), { map } = t.proc.vmspace;
  if (!isAligned(va)) return -EINVAL;
  if (size === 0) return 0;
  if (!map.isRange(va, va + size)) return -ENOMEM;
  const out = new Uint8Array(size / PAGE), r = yield* uvmMapResident(map, va, va + size, out);
  return r < 0 ? r : yield* putBytes(k, t, argOf(t, 2), out);
}

const MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, MREMAP_DONTUNMAP = 4;

function* mremap(_k: Kern, t: Thread): KGen<number> {
  const from = argUOf(t, 0), flags = intOf(t, 3), { map } = t.proc.vmspace;
  const fixed = (flags & MREMAP_FIXED) !== 0, mayMove = (flags & MREMAP_MAYMOVE) !== 0, keepOld = (flags & MREMAP_DONTUNMAP) !== 0;
  if ((flags & ~7) !== 0 || (fixed && !mayMove) || (keepOld && (!mayMove || argUOf(t, 1) !== argUOf(t, 2))) || !isAligned(from)) return -EINVAL;
  // As Linux: a size of almost 2^64 is rounded up to 0.
  const oldSize = roundUp(argUOf(t, 1)) % 2 ** 64, size = roundUp(argUOf(t, 2)) % 2 ** 64;
  if (size === 0) return -EINVAL;
  if (!map.lookup(from)) return -EFAULT;
  const to = fixed || keepOld ? argUOf(t, 4) : 0;
  if ((fixed || keepOld) && (!isAligned(to) || size > map.max || to > map.max - size || (to < from + oldSize && from < to + size))) return -EINVAL;
  if (fixed && to < map.min) return -EPERM;
  const limit = (e: VmMapEntry, grown: number, added: number): number => mayRemap(t, e, grown, added, fixed ? to : 0, size);
  return yield* uvmMremap(map, { from, oldSize, size, to, fixed, mayMove, keepOld, limit });
}

/** The limits, as they are when what is at `to` (0: nothing) has gone. => 0, -EAGAIN, -ENOMEM */
function mayRemap(t: Thread, e: VmMapEntry, grown: number, added: number, to: number, size: number): number {
  const { map } = t.proc.vmspace, data = (x: VmMapEntry): boolean => isData(map, x);
  if (grown > 0 && e.wiredCount > 0 && mayMapLocked(t, grown - (to > 0 ? lockedBytes(map, to, to + size) : 0), true) < 0) return -EAGAIN;
  const notData = to > 0 ? mappedBytes(map, to, to + size) - mappedBytes(map, to, to + size, data) : 0;
  return mayMap(t, added, data(e), notData) ? 0 : -ENOMEM;
}

export const MM_CALLS: readonly Row[] = [
  slow(214, "brk", "x", brk), slow(215, "munmap", "xu", munmap), slow(216, "mremap", "xuuxx", mremap), slow(222, "mmap", "xuxxdu", mmap),
  slow(226, "mprotect", "xux", mprotect), slow(227, "msync", "xux", msync), slow(232, "mincore", "xux", mincore), slow(233, "madvise", "xud", madvise),
  fast(283, "membarrier", "dxd", (_k, t) => (intOf(t, 0) === 0 ? 0 : -EINVAL)),
];
