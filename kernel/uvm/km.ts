// uvm_km: wired kernel memory. Pages without an owner, entered by pmap_kenter, found again through the mapping when they are
// freed (uvm-spec 3.24, S-61..S-63). Nothing here sleeps but the waiting form.
import { KASSERT } from "../lib/kassert.ts";
import type { KGen } from "../lib/kthread.ts";
import { PROT_READ, PROT_WRITE } from "../hal/prot.ts";
import { uvmMapFindspace } from "./mmap.ts";
import { VmMapEntry } from "./mapentry.ts";
import { PAGE_SIZE, PRIV_KMEM } from "./page.ts";
import { uvmReclaimable, uvmWait } from "./pdaemon.ts";
import type { Uvm } from "./uvm.ts";

/**
 * Wired kernel memory. BSD: uvm_km_alloc(9), UVM_KMF_WIRED.
 *
 * => size a multiple of the page; contents undefined
 * => its kernel virtual address, a negative number; 0 when address space or memory is short
 */
export function uvmKmAlloc(uvm: Uvm, size: number): number {
  const { pages, pmap } = uvm, va = uvmKmAllocVa(uvm, size);
  if (va === 0) return 0;
  for (let off = 0; off < size; off += PAGE_SIZE) {
    const pg = pages.allocPrivate(PRIV_KMEM, 0);
    if (pg === 0) {
      freePages(uvm, va, off);
      uvmKmFreeVa(uvm, va, size);
      return 0;
    }
    pmap.pmapKenterPa(va + off, uvm.paOf(pg), PROT_READ | PROT_WRITE);
  }
  pmap.pmapUpdate(pmap.kernelPmap);
  return va;
}

/** The same, waiting for memory at SP-MEMWAIT(kmwait); 0 when waiting has no hope. */
export function* uvmKmAllocWait(uvm: Uvm, size: number): KGen<number> {
  for (;;) {
    const va = uvmKmAlloc(uvm, size);
    if (va !== 0 || !uvmReclaimable(uvm)) return va;
    yield* uvmWait(uvm, "kmwait");
  }
}

/** Frees what uvmKmAlloc gave; the pages are found by their mapping. BSD: uvm_km_free(9). */
export function uvmKmFree(uvm: Uvm, va: number, size: number): void {
  freePages(uvm, va, size);
  uvmKmFreeVa(uvm, va, size);
}

function freePages(uvm: Uvm, va: number, size: number): void {
  const { pages, pmap } = uvm, pgs: number[] = [];
  for (let off = 0; off < size; off += PAGE_SIZE) {
    const pg = uvm.pageAt(pmap.kernelPmap, va + off);
    KASSERT(pg !== 0, "kernel memory freed twice");
    pgs.push(pg);
  }
  pmap.pmapKremove(va, size);
  pmap.pmapUpdate(pmap.kernelPmap);
  for (const pg of pgs) pages.freePrivate(pg);
}

/** Kernel addresses without memory behind them; 0 when there are none. The lock's holders never sleep. */
export function uvmKmAllocVa(uvm: Uvm, size: number): number {
  const { kernelMap } = uvm;
  KASSERT(size > 0 && size % PAGE_SIZE === 0, "kernel memory comes in pages");
  KASSERT(kernelMap.lock.tryWrite(), "a holder of the kernel map sleeps");
  const va = uvmMapFindspace(kernelMap, 0, size), ok = va % PAGE_SIZE === 0;
  if (ok) kernelMap.link(new VmMapEntry(va, va + size));
  kernelMap.unlock();
  return ok ? va : 0;
}

/** Gives addresses back. => nothing is mapped there */
export function uvmKmFreeVa(uvm: Uvm, va: number, size: number): void {
  const { kernelMap } = uvm;
  KASSERT(kernelMap.lock.tryWrite(), "a holder of the kernel map sleeps");
  const e = kernelMap.lookup(va);
  KASSERT(e && e.start === va && e.end === va + size, "kernel addresses freed twice, or not as allocated");
  kernelMap.unlink(e);
  kernelMap.unlock();
}
