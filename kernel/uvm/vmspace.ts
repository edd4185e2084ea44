// vmspace: a process's address space: a map, how many processes use it (vfork), and where break and stack are.
//
//   0x1000 … text, data | brkBase ── brkEnd ►        ◄ mmap, from the top down | stack | maxva
import { ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { AMAP_SHARED } from "./amap.ts";
import { amapCopy, amapCowNow } from "./amapcopy.ts";
import { MAP_PAGEABLE, MAP_TOPDOWN, MAP_WIREFUTURE, MAP_WIREONFAULT, VmMap } from "./map.ts";
import { ET_COPYONWRITE, ET_NEEDSCOPY, INH_COPY, INH_NONE, INH_SHARE, INH_ZERO, VmMapEntry } from "./mapentry.ts";
import { uvmMap } from "./mmap.ts";
import { PAGE_SIZE } from "./page.ts";
import { unmapDetach, unmapRemove, uvmUnmap } from "./unmap.ts";
import type { Uvm } from "./uvm.ts";

/** User space: page 0 is never mapped, and the last page of the lower half stays free. */
const USER_HALF = 2 ** 38;
export const VM_MIN_USER = 0x1000, VM_MAX_USER = USER_HALF - 0x1000;

export class Vmspace {
  readonly map: VmMap;
  /** Processes that run in it. */
  refs = 1;
  /** The break: [brkBase, brkEnd), as set by exec and brk(2); brkEnd in bytes, not rounded. */
  brkBase = 0;
  brkEnd = 0;
  /** Most bytes the break may grow to: RLIMIT_DATA. */
  brkLimit = Infinity;

  constructor(map: VmMap) {
    this.map = map;
  }

  /** Where the stack ends (stack.ts); 0 without one. */
  get stackTop(): number {
    return this.map.stack?.top ?? 0;
  }
}

const roundUp = (n: number): number => Math.ceil(n / PAGE_SIZE) * PAGE_SIZE;

/** An empty address space with one reference, or -ENOMEM. BSD: uvmspace_alloc. */
export function uvmspaceAlloc(uvm: Uvm, min = VM_MIN_USER, max = VM_MAX_USER): Vmspace | number {
  const pm = uvm.pmap.pmapCreate();
  if (typeof pm === "number") return pm;
  const vm = new Vmspace(new VmMap(uvm, pm, min, max, MAP_PAGEABLE | MAP_TOPDOWN));
  uvm.vmspaces.add(vm);
  return vm;
}

/** One process fewer uses it; the last frees everything. BSD: uvmspace_free. => may sleep */
export function* uvmspaceFree(vm: Vmspace): KGen<void> {
  KASSERT(vm.refs > 0, "vmspace reference count");
  if (--vm.refs > 0) return;
  const { map } = vm, { uvm } = map;
  yield* unmapAll(map);
  KASSERT(map.nentries === 0 && map.size === 0, "a dead map has entries");
  uvm.vmspaces.delete(vm);
  uvm.pmap.pmapDestroy(map.pmap);
}

function* unmapAll(map: VmMap): KGen<void> {
  yield* map.lockWrite();
  map.uvm.pmap.pmapRemoveAll(map.pmap);
  const dead = unmapRemove(map, map.min, map.max);
  // Returns at once, unless something was entered where no entry is.
  map.uvm.pmap.pmapRemove(map.pmap, 0, USER_HALF);
  map.unlock();
  yield* unmapDetach(dead);
}

/**
 * The address space for a new program: this one emptied when nobody else uses it, else a new one. BSD: uvmspace_exec.
 *
 * => the caller's reference to vm is used up on success and kept on failure; may sleep
 */
export function* uvmspaceExec(vm: Vmspace, min = VM_MIN_USER, max = VM_MAX_USER): KGen<Vmspace | number> {
  const { map } = vm;
  if (vm.refs === 1 && map.min === min && map.max === max) {
    map.flags &= ~(MAP_WIREFUTURE | MAP_WIREONFAULT);
    yield* unmapAll(map);
    vm.brkBase = vm.brkEnd = map.sizePeak = 0;
    map.pmap.residentPeak = 0;
    map.stack = null;
    map.searchTop = max;
    return vm;
  }
  const neu = uvmspaceAlloc(map.uvm, min, max);
  if (typeof neu !== "number") yield* uvmspaceFree(vm);
  return neu;
}

/**
 * A copy of an address space by each entry's inheritance. BSD: uvmspace_fork.
 *
 * => may sleep; -ENOMEM: everything undone
 */
export function* uvmspaceFork(vm: Vmspace): KGen<Vmspace | number> {
  const { map } = vm, { uvm } = map, child = uvmspaceAlloc(uvm, map.min, map.max);
  if (typeof child === "number") return child;
  child.brkBase = vm.brkBase;
  child.brkEnd = vm.brkEnd;
  child.brkLimit = vm.brkLimit;
  yield* map.lockWrite();
  child.map.stack = map.stack ? { ...map.stack } : null;
  child.map.searchTop = map.searchTop;
  child.map.sizeLimit = map.sizeLimit;
  // Nobody can reach the child's map, so its lock is free; holding it keeps the contracts of what is called.
  KASSERT(child.map.lock.tryWrite(), "the lock of a new map is held");
  let err = 0;
  for (let e = map.header.next; e !== map.header && err === 0; e = e.next) {
    if (e.inheritance === INH_SHARE) err = forkShare(map, child.map, e);
    else if (e.inheritance === INH_COPY) err = yield* forkCopy(map, child.map, e);
    else if (e.inheritance === INH_ZERO) forkZero(child.map, e);
    else KASSERT(e.inheritance === INH_NONE, "unknown inheritance");
  }
  uvm.pmap.pmapUpdate(map.pmap);
  child.map.unlock();
  map.unlock();
  if (err === 0) return child;
  yield* uvmspaceFree(child);
  return err;
}

/** A child's entry for the same range with its own references. It is never wired. */
function cloneInto(to: VmMap, e: VmMapEntry, share: boolean): VmMapEntry {
  const c = e.clone();
  c.clearWired();
  if (c.amap) c.amap.addRef(c.amapSlot, c.npages, share);
  if (c.object) c.object.pgops.reference(c.object);
  to.link(c);
  return c;
}

/** Both see each other's stores: the amap is one, so it must exist and be private to the two. */
function forkShare(map: VmMap, to: VmMap, e: VmMapEntry): number {
  if (e.needsCopy && !amapCopy(map, e)) return -ENOMEM;
  cloneInto(to, e, true);
  return 0;
}

/** Both keep what they see now: from here on, whoever stores first copies. */
function* forkCopy(map: VmMap, to: VmMap, e: VmMapEntry): KGen<number> {
  const c = cloneInto(to, e, false), { amap } = c;
  c.etype |= ET_COPYONWRITE | ET_NEEDSCOPY;
  // Nothing of its own yet: what lies below is not stored to through the parent's private mapping, nor the child's.
  if (!amap) return 0;
  const isWired = e.wiredCount > 0;
  if ((amap.flags & AMAP_SHARED) !== 0 || isWired) {
    // Others store into this amap, or the parent's mappings must stay: the child takes its copy at once.
    if (!amapCopy(to, c)) return -ENOMEM;
    return isWired ? yield* amapCowNow(to, c) : 0;
  }
  if (!e.needsCopy) {
    e.etype |= ET_NEEDSCOPY;
    if ((e.maxProtection & PROT_WRITE) !== 0) map.uvm.pmap.pmapProtect(map.pmap, e.start, e.end, e.protection & ~PROT_WRITE);
  }
  return 0;
}

/** The child finds zeros. */
function forkZero(to: VmMap, e: VmMapEntry): void {
  const c = e.clone();
  c.clearWired();
  c.amap = null;
  c.amapSlot = 0;
  c.object = null;
  c.offset = 0;
  c.etype = ET_COPYONWRITE | ET_NEEDSCOPY;
  to.link(c);
}

/**
 * Moves the break. BSD: obreak.
 *
 * => may sleep; the break now: `end`, or the old one when it cannot move there (Linux's brk)
 */
export function* uvmBrk(vm: Vmspace, end: number): KGen<number> {
  const { map } = vm;
  if (end < vm.brkBase || end - vm.brkBase > vm.brkLimit || end > map.max) return vm.brkEnd;
  const from = roundUp(vm.brkEnd), to = roundUp(end);
  if (to > from) {
    const r = yield* uvmMap(map, {
      va: from, fixed: true, noReplace: true, size: to - from, prot: PROT_READ | PROT_WRITE, maxprot: 7, copyOnWrite: true,
    });
    if (r < 0) return vm.brkEnd;
  } else if (to < from) yield* uvmUnmap(map, to, from);
  vm.brkEnd = end;
  return end;
}
