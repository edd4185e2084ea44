// The tables of a pmap: Sv39's three levels, as words of guest RAM. What lies in the leaves is pmap.ts' matter.
//
//   root (1 GiB an entry) ─► 2 MiB ─► 4 KiB: a leaf        512 entries of 8 bytes each; a leaf at a higher level is a superpage
//   PTE   63..54: 0 | PPN 53..10 | RSW: 9 WIRED, 8 MANAGED | D A G U X W R V
//
// RAM ends below 16 GiB, so that a PTE's number and flags fit its low word; the high word stays 0. A user pmap's root holds
// the kernel half, which never changes after boot. Tables are frames that the page allocator gives (PmapPages).
import { KASSERT } from "../lib/kassert.ts";
import { PAGE_SIZE, type PhysMem, RAM_BASE } from "./physmem.ts";

export const PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128, PTE_MANAGED = 256, PTE_WIRED = 512;
export const LEAF = PTE_R | PTE_W | PTE_X, RAM_PFN = RAM_BASE / PAGE_SIZE, WORDS = PAGE_SIZE / 4, ENTRIES = 512, MEGA = 512, GIGA = 512 * 512;
/** All RAM, readable and writable by the kernel: the bottom of the kernel half. */
export const DIRECT_MAP = -(2 ** 38);
/** No page number has this for its 2 MiB. */
export const NO_MEGA = 2 ** 30;
/** Root entries whose tables exist from boot: the last 2 GiB. */
const KERNEL_ROOTS = [510, 511];

/** What the pmap needs of the page allocator. */
export interface PmapPages {
  /** A zeroed frame for a table, or 0. */
  allocTablePage(kernel: boolean): number;
  freeTablePage(pg: number): void;
  /** Asserts that the frame may be mapped writable: not loaned, not PG_RDONLY, not free. */
  assertMayMapWrite(pg: number): void;
  isManaged(pg: number): boolean;
}

/** An address space. */
export class Pmap {
  readonly isKernel: boolean;
  readonly rootPg: number;
  asid = 0;
  /** Generation of the ASID; see asid.ts. */
  generation = 0;
  refs = 1;
  /** Leaf mappings, and those that are wired. */
  residentCount = 0;
  /** Most there ever were. */
  residentPeak = 0;
  wiredCount = 0;
  /** Frames of its tables, the root included. */
  readonly tables: number[] = [];
  /** The leaf table used last, and which 2 MiB it maps: faults cluster. */
  lastTable = 0;
  lastMega = NO_MEGA;

  constructor(rootPg: number, isKernel: boolean) {
    this.rootPg = rootPg;
    this.isKernel = isKernel;
    this.tables.push(rootPg);
  }
}

/** The leaf that translates an address. */
export interface PmapLeaf { readonly level: number; readonly pteLo: number; readonly pteHi: number; readonly ptePa: number }
export class PmapTables {
  readonly stats = { fixups: 0, spuriousFaults: 0, enters: 0, tablePages: 0 };
  protected readonly i32: Int32Array;
  protected readonly pages: PmapPages;
  private readonly npages: number;

  constructor(mem: PhysMem, pages: PmapPages) {
    this.i32 = mem.i32;
    this.npages = mem.npages;
    this.pages = pages;
  }

  // ---- the kernel half ----

  /** Direct map with the largest leaves that fit, and the tables that every pmap will share. */
  protected buildKernelHalf(pm: Pmap): void {
    const leaf = PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D | PTE_WIRED, { npages } = this;
    for (let pg = 0; pg < npages;) {
      const span = pg % GIGA === 0 && pg + GIGA <= npages ? GIGA : pg % MEGA === 0 && pg + MEGA <= npages ? MEGA : 1;
      const level = span === GIGA ? 2 : span === MEGA ? 1 : 0;
      const at = this.entryAt(pm, DIRECT_MAP / PAGE_SIZE + pg, level, true);
      KASSERT(at >= 0, "no frame for the direct map's tables");
      this.i32[at] = ((RAM_PFN + pg) << 10) | leaf;
      pg += span;
    }
    for (const index of KERNEL_ROOTS) KASSERT(this.tableBelow(pm, pm.rootPg * WORDS + index * 2) !== 0, "no frame for a kernel table");
  }

  // ---- tables ----

  /** The table that a non-leaf entry points to; makes one. => its frame, or 0: no memory */
  private tableBelow(pm: Pmap, at: number): number {
    const pte = this.i32[at]!;
    if ((pte & PTE_V) !== 0) return (pte >>> 10) - RAM_PFN;
    const pg = this.pages.allocTablePage(pm.isKernel);
    if (pg === 0) return 0;
    this.i32[at] = ((RAM_PFN + pg) << 10) | PTE_V;
    pm.tables.push(pg);
    this.stats.tablePages++;
    return pg;
  }

  /** Word index of the entry for a page number at a level. => -1 when a table is missing (and cannot be had) or a superpage is in the way */
  protected entryAt(pm: Pmap, vpn: number, level: number, make: boolean): number {
    if (level === 0 && vpn >> 9 === pm.lastMega) return pm.lastTable * WORDS + (vpn & 511) * 2;
    let table = pm.rootPg;
    for (let l = 2; l > level; l--) {
      const at = table * WORDS + ((vpn >> (9 * l)) & 511) * 2, pte = this.i32[at]!;
      if ((pte & PTE_V) !== 0) {
        if ((pte & LEAF) !== 0) return -1;
        table = (pte >>> 10) - RAM_PFN;
      } else {
        table = make ? this.tableBelow(pm, at) : 0;
        if (table === 0) return -1;
      }
    }
    if (level === 0) {
      pm.lastMega = vpn >> 9;
      pm.lastTable = table;
    }
    return table * WORDS + ((vpn >> (9 * level)) & 511) * 2;
  }

  /** Word index of the leaf that translates the page number, at any level, or -1. `leafLevel` tells the level. */
  protected leafAt(pm: Pmap, vpn: number): number {
    if (vpn >> 9 === pm.lastMega) {
      const at = pm.lastTable * WORDS + (vpn & 511) * 2;
      this.leafLevel = 0;
      return (this.i32[at]! & PTE_V) !== 0 ? at : -1;
    }
    let table = pm.rootPg;
    for (let l = 2; l >= 0; l--) {
      const at = table * WORDS + ((vpn >> (9 * l)) & 511) * 2, pte = this.i32[at]!;
      if ((pte & PTE_V) === 0) return -1;
      if ((pte & LEAF) !== 0) {
        this.leafLevel = l;
        return at;
      }
      table = (pte >>> 10) - RAM_PFN;
    }
    return -1;
  }

  protected leafLevel = 0;
}
