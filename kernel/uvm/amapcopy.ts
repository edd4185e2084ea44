// Giving an entry an amap of its own: amap_copy, when a fault or a fork finds NEEDSCOPY; and cow_now, for the copy of
// wired memory, which may not wait for a fault.
import { ENOMEM } from "../lib/errno.ts";
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { type Amap, amapAlloc, UVM_AMAP_CHUNK, UVM_AMAP_LARGE } from "./amap.ts";
import type { VmMap } from "./map.ts";
import { ET_NEEDSCOPY, type VmMapEntry } from "./mapentry.ts";
import { mergeFresh } from "./mmap.ts";
import { PAGE_SIZE, PG_BUSY, PG_CLEAN, PG_FAKE } from "./page.ts";
import { uvmReclaimable, uvmWait } from "./pdaemon.ts";

const CHUNK_BYTES = UVM_AMAP_CHUNK * PAGE_SIZE;

/**
 * Clears NEEDSCOPY: the entry gets an amap nobody else stores to. BSD: amap_copy.
 *
 * => map write-locked, or the map is not reachable yet; never sleeps
 * => opts.va: an entry too large to have its amap made whole is clipped to the chunk around va, and a fresh one may be joined
 *    with its neighbour: look the entry up again. Without it the entry stays as it is
 * => false: no memory, NEEDSCOPY stays
 */
export function amapCopy(map: VmMap, e: VmMapEntry, opts: { va?: number } = {}): boolean {
  const { uvm } = map;
  if (!e.amap) {
    if (opts.va !== undefined) {
      if (e.npages >= UVM_AMAP_LARGE) clipToChunk(map, e, opts.va);
      const at = map.lookup(opts.va)!;
      if (mergeFresh(map, at)) return true;
      e = at;
    }
    e.amap = amapAlloc(uvm, e.npages);
    if (!e.amap) return false;
    e.amapSlot = 0;
    e.etype &= ~ET_NEEDSCOPY;
    return true;
  }
  if (e.amap.ref === 1) {
    e.etype &= ~ET_NEEDSCOPY;
    return true;
  }
  const neu = amapAlloc(uvm, e.npages);
  if (!neu) return false;
  e.amap.copySlotsTo(neu, e.amapSlot);
  e.amap = neu;
  e.amapSlot = 0;
  e.etype &= ~ET_NEEDSCOPY;
  return true;
}

function clipToChunk(map: VmMap, e: VmMapEntry, va: number): void {
  const start = Math.floor(va / CHUNK_BYTES) * CHUNK_BYTES, end = start + CHUNK_BYTES;
  const mid = e.start < start ? map.split(e, start) : e;
  map.clipEnd(mid, end);
}

/**
 * Resolves every copy-on-write of a child's entry whose parent is wired: the parent's mappings must not change.
 * BSD: amap_cow_now.
 *
 * => the entry's amap belongs to it alone; its map is not reachable yet; the parent's map is locked (documented exception)
 * => sleeps at SP-MEMWAIT(cownow) and SP-PGWAIT(cownow); 0, or -ENOMEM
 */
export function* amapCowNow(map: VmMap, e: VmMapEntry): KGen<number> {
  const { uvm } = map, { anons, pages } = uvm, am: Amap = e.amap!;
  KASSERT(am.ref === 1, "cow_now on an amap that others use");
  am.lock.enter();
  for (let i = 0; i < am.nused; i++) {
    const slot = am.slots[i]!, an = am.anons[slot]!, lock = anons.lockOf(an);
    lock.enter();
    const pg = anons.page[an]!;
    if (anons.ref[an] === 1) {
      lock.exit();
      continue;
    }
    KASSERT(pg !== 0 && pages.loanCount[pg] === 0, "anon of a wired entry is not resident, or on loan");
    if ((pages.flags[pg]! & PG_BUSY) !== 0) {
      pages.wantPage(pg);
      lock.exit();
      am.lock.exit();
      yield* pages.sleepOnPage(pg, "cownow");
      am.lock.enter();
      i = -1;
      continue;
    }
    const neu = anons.alloc(), npg = neu === 0 ? 0 : pages.pageAlloc(null, 0, neu, 0);
    if (npg === 0) {
      if (neu !== 0) anons.release(neu);
      lock.exit();
      am.lock.exit();
      if (!uvmReclaimable(uvm)) return -ENOMEM;
      yield* uvmWait(uvm, "cownow");
      am.lock.enter();
      i = -1;
      continue;
    }
    uvm.pmap.pmapCopyPage(pg, npg);
    am.add(slot, neu, true);
    anons.ref[an]!--;
    pages.flags[npg]! &= ~(PG_FAKE | PG_CLEAN);
    pages.lockQueues();
    pages.pageActivate(npg);
    pages.unlockQueues();
    pages.pageUnbusy(npg);
    anons.lockOf(neu).exit();
    lock.exit();
  }
  am.lock.exit();
  return 0;
}
