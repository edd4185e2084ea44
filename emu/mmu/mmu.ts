// Memory accesses that generated code cannot make itself: TLB misses that refill.ts leaves alone, devices, accesses across pages,
// stores to pages with decoded code, fetches from a new page.
//
//   va --walk-> page fault                          -> raise
//      --PMP--> access fault                        -> raise
//      --bus--> RAM: fill the TLB; device: do it here
import { CAUSE_FETCH_ACCESS, CAUSE_FETCH_PAGE, CAUSE_LOAD_ACCESS, CAUSE_LOAD_PAGE, CAUSE_STORE_ACCESS, CAUSE_STORE_PAGE } from "../hart/csrnum.ts";
import type { Bus } from "../bus/bus.ts";
import { GROUP_SIZE_SHIFT, KIND_AMO, KIND_LR, KIND_SIZE, KIND_STORE, KIND_UNMAPPED, SLOW_AT, SLOW_DONE, SLOW_TRAP } from "../hart/cold.ts";
import { DATA_BANK, FETCH_BANK, FETCH_IN_BANK, IP, PC, RAM_OFFSET, SCRATCH_AT, SCRATCH_VA, SCRATCH_VALUE, TAG_READ, TAG_WRITE } from "../hart/layout.ts";
import { PMP_MIXED, PMP_R, PMP_W, PMP_X, type Pmp } from "../hart/pmp.ts";
import type { AccessSize } from "../dev/device.ts";
import type { CodeCache } from "../hart/codecache.ts";
import { HostileMemory } from "./hostile.ts";
import type { Tlb } from "./tlb.ts";
import {
  ACCESS_FETCH, ACCESS_LOAD, ACCESS_STORE, PTE_A, PTE_D, PTE_R, PTE_W, PTE_X, WALK_ACCESS_FAULT, WALK_OK, WALK_PAGE_FAULT, type Walker,
} from "./walk.ts";
import { PAGES_ALL, PAGES_S, PAGES_U, type WalkCache } from "./walkcache.ts";

const PRIV_U = 0, PRIV_M = 3;
/** Of setContext's flags. */
const FLAG_SUM = 4;
const RAM_PFN = 0x80000, PFN_LIMIT = 2 ** 44;
/** Of ramPage: the bus has no memory there; the access has trapped. */
const NO_RAM = -1, TRAPPED = -2;

/** What the MMU asks of its hart. */
export interface MmuPort {
  raise(cause: number, tvalLo: number, tvalHi: number): void;
}

export interface MmuParts {
  buffer: ArrayBufferLike;
  hartBlock: number;
  bus: Bus;
  pmp: Pmp;
  walker: Walker;
  cache: WalkCache;
  tlb: Tlb;
  code: CodeCache;
  hostile: boolean;
}

export class Mmu {
  readonly walker: Walker;
  private readonly cache: WalkCache;
  readonly tlb: Tlb;
  /** Only in hostile mode. */
  readonly hostile: HostileMemory | null;
  private readonly words: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly block: number;
  private readonly bus: Bus;
  private readonly pmp: Pmp;
  private readonly ramPages: number;
  private port!: MmuPort;
  private readonly code: CodeCache;

  // The translation context, derived from CSRs by `setContext`.
  private satpLo = 0;
  private satpHi = 0;
  private dataPriv = PRIV_M;
  private fetchPriv = PRIV_M;
  private dataFlags = PRIV_M;
  private dataContext = 0;
  private fetchContext = 0;

  // The last page located.
  private ppn = 0;
  private pte = 0;
  private level = 0;

  /** Stores to this page (its host offset) may follow without being seen. */
  onWritable: (page: number) => void = () => {};
  /** Fetches go by this context of the TLB now. */
  onContext: (context: number) => void = () => {};
  /** Whether any page of code is divided by PMP. */
  private guards = false;
  /** Pages (host offsets) whose stores are watched, and who is told after one; for HTIF. */
  private watchedPage = -1;
  private onWatchedStore: (() => void) | null = null;
  /** Misses that came here, by outcome. */
  private readonly came = { fills: 0, fetchFills: 0, mmio: 0, crossings: 0, pageFaults: 0, accessFaults: 0 };

  constructor(parts: MmuParts) {
    this.words = new Int32Array(parts.buffer, 0, RAM_OFFSET / 4);
    this.bytes = new Uint8Array(parts.buffer);
    this.block = parts.hartBlock;
    this.bus = parts.bus;
    this.pmp = parts.pmp;
    this.walker = parts.walker;
    this.cache = parts.cache;
    this.tlb = parts.tlb;
    this.code = parts.code;
    this.hostile = parts.hostile ? new HostileMemory() : null;
    this.ramPages = parts.bus.ram.size / 4096;
    this.code.onCodePage = (ramPage) => this.seeStores(RAM_OFFSET + ramPage * 4096);
    this.code.onEvict = (records) => this.tlb.dropRecords(records);
  }

  attach(port: MmuPort): void {
    this.port = port;
  }

  /** Stores to one page of RAM come here, and are told after they are done. */
  watch(page: number, onStore: () => void): void {
    this.watchedPage = page;
    this.onWatchedStore = onStore;
    this.seeStores(page);
  }

  /** No store to a page (its host offset) goes by the TLB from now on. */
  private seeStores(page: number): void {
    this.cache.seeStores((page - RAM_OFFSET) >>> 12);
    this.tlb.dropWrites(page);
  }

  /** Misses by outcome, `refills` of the fills in WebAssembly; for the statistics. */
  get stats() {
    const refills = this.cache.fillCount;
    return { ...this.came, fills: this.came.fills + refills, refills };
  }

  /**
   * Makes contexts current. `flags` is priv | sum << 2 | mxr << 3.
   *
   * => returns whether fetches now go by another bank
   */
  setContext(satpLo: number, satpHi: number, dataFlags: number, fetchPriv: number): boolean {
    const { tlb, words, block } = this;
    this.satpLo = satpLo;
    this.satpHi = satpHi;
    this.dataFlags = dataFlags;
    this.dataPriv = dataFlags & 3;
    this.fetchPriv = fetchPriv;
    // M-mode does not translate: its banks are keyed without satp.
    this.fetchContext = fetchPriv === PRIV_M ? tlb.context(0, 0, PRIV_M) : tlb.context(satpLo, satpHi, fetchPriv);
    this.dataContext = this.dataPriv === PRIV_M ? tlb.context(0, 0, PRIV_M) : tlb.context(satpLo, satpHi, dataFlags);
    const bank = tlb.bankOf(this.dataContext);
    if (words[(block + DATA_BANK) >> 2] !== bank) tlb.forgetPages();
    words[(block + DATA_BANK) >> 2] = bank;
    this.setRefill();
    this.onContext(this.fetchContext);
    const at = (block + FETCH_BANK) >> 2, before = words[at]!;
    words[at] = tlb.bankOf(this.fetchContext) + FETCH_IN_BANK;
    return words[at] !== before;
  }

  private setRefill(): void {
    const { cache, dataPriv, walker } = this;
    if (dataPriv === PRIV_M || walker.levels === 0) return cache.fillNothing();
    if (cache.wantsMarks) this.markPages(cache.newMarks());
    const pages = dataPriv === PRIV_U ? PAGES_U : (this.dataFlags & FLAG_SUM) !== 0 ? PAGES_ALL : PAGES_S;
    cache.fillFor(this.dataContext, walker.levels, walker.rootPpn - RAM_PFN, pages);
  }

  /** Writes what refill may grant of each page of RAM. */
  private markPages(marks: Uint8Array): void {
    const { hasCode } = this.code;
    this.pmp.pages(RAM_PFN * 4096, marks);
    for (let page = hasCode.indexOf(1); page >= 0; page = hasCode.indexOf(1, page + 1)) marks[page]! &= ~PMP_W;
    if (this.watchedPage >= 0) this.cache.seeStores((this.watchedPage - RAM_OFFSET) >>> 12);
  }

  // ---- fences ----

  flushAll(): void {
    this.walker.forgetTables();
    this.tlb.flushAll();
    if (this.hostile !== null) this.hostile.flushAll();
  }

  fenceAsid(asid: number): void {
    this.walker.forgetTables();
    this.tlb.fenceAsid(asid);
    if (this.hostile !== null) this.hostile.fenceAsid(asid);
  }

  /** => asid -1: every address space, and global pages */
  fenceVa(vaLo: number, vaHi: number, asid: number): void {
    this.walker.forgetTables();
    this.tlb.fenceVa(vaLo, vaHi, asid);
    if (this.hostile !== null) this.hostile.fenceVa(vaHi * 4294967296 + (vaLo >>> 0), asid);
  }

  // ---- Cold ----

  /** Cold.dataMiss. */
  dataMiss(kind: number): number {
    const { words, block } = this, size = kind & KIND_SIZE;
    const lo = words[(block + SCRATCH_VA) >> 2]!, hi = words[(block + SCRATCH_VA + 4) >> 2]!, offset = lo & 4095;
    const access = (kind & (KIND_STORE | KIND_AMO)) !== 0 ? ACCESS_STORE : ACCESS_LOAD;
    if ((kind & KIND_UNMAPPED) !== 0) return this.refuse(WALK_PAGE_FAULT, access, lo, hi);
    if (offset + size > 4096) return this.crossing(lo, hi, size, access);
    const outcome = this.locate(lo, hi, access);
    if (outcome !== WALK_OK) return this.refuse(outcome, access, lo, hi);
    if (this.ppn < RAM_PFN || this.ppn >= RAM_PFN + this.ramPages) return this.device(lo, hi, offset, kind, access);
    const page = (this.ppn - RAM_PFN) * 4096 + RAM_OFFSET;
    if (!this.fill(lo, hi, page, access, size)) return this.refuse(WALK_ACCESS_FAULT, access, lo, hi);
    if (access === ACCESS_STORE) {
      if (page === this.watchedPage) return this.watchedStore(page + offset, size, kind);
      this.codeStored(page + offset, size);
    }
    return this.goOn(page + offset);
  }

  /** Cold.fetchMiss. */
  fetchMiss(): number {
    const lo = this.words[(this.block + PC) >> 2]!, hi = this.words[(this.block + PC + 4) >> 2]!;
    const page = this.fetchPage(lo, hi, 2);
    if (page < 0) return SLOW_TRAP;
    this.tlb.fillFetch(this.fetchContext, lo, hi, this.code.recordsOf((page - RAM_OFFSET) >>> 12), this.pte, this.level);
    this.came.fetchFills++;
    return 0;
  }

  /** Cold.fetchSecond; also asked for each instruction on a guarded page, whichever its length. */
  fetchSecond(): number {
    const lo = this.words[(this.block + PC) >> 2]!, hi = this.words[(this.block + PC + 4) >> 2]!;
    if (this.guards) {
      const page = this.fetchPage(lo, hi, 2), at = page + (lo & 4095);
      // A 16-bit instruction has no second half.
      if (page < 0 || (this.bytes[at]! & 3) !== 3) return page < 0 ? -1 : at;
    }
    const next = (lo + 2) | 0, page = this.fetchPage(next, next === 0 ? (hi + 1) | 0 : hi, 2);
    return page < 0 ? -1 : page + (next & 4095);
  }

  /** Translated code missed the TLB at SCRATCH_VA, on one page. => host offset of the bytes, or 0: the interpreter has to do it */
  regionMiss(kind: number): number {
    // The bytes of a group of accesses count as one.
    const { words, block } = this, size = (kind & KIND_SIZE) || kind >> GROUP_SIZE_SHIFT;
    const lo = words[(block + SCRATCH_VA) >> 2]!, hi = words[(block + SCRATCH_VA + 4) >> 2]!, offset = lo & 4095;
    const access = (kind & (KIND_STORE | KIND_AMO)) !== 0 ? ACCESS_STORE : ACCESS_LOAD;
    if (this.locate(lo, hi, access) !== WALK_OK) return 0;
    if (this.ppn < RAM_PFN || this.ppn >= RAM_PFN + this.ramPages) return 0;
    const page = (this.ppn - RAM_PFN) * 4096 + RAM_OFFSET;
    if (access === ACCESS_STORE && (page === this.watchedPage || this.code.hasCode[(page - RAM_OFFSET) >>> 12] === 1)) return 0;
    // A page that PMP divides has no answer for all of it, which is what translated code would remember.
    return this.pmp.page(this.ppn * 4096, this.dataPriv) !== PMP_MIXED && this.fill(lo, hi, page, access, size) ? page + offset : 0;
  }

  /** RAM page that fetches from a virtual page use now, or -1; raises nothing. */
  codePage(pageVa: number): number {
    const lo = pageVa | 0, hi = Math.floor(pageVa / 4294967296) | 0, records = this.tlb.fetchRecords(this.fetchContext, lo, hi);
    if (records >= 0) return this.code.ramOffsetOf(records) >>> 12;
    // Nobody fetches yet: A is not set, and a page without it counts as missing.
    const { walker } = this, { updatesAD } = walker;
    walker.updatesAD = false;
    const outcome = this.locate(lo, hi, ACCESS_FETCH);
    walker.updatesAD = updatesAD;
    if (outcome !== WALK_OK || this.ppn < RAM_PFN || this.ppn >= RAM_PFN + this.ramPages) return -1;
    const rights = this.pmp.page(this.ppn * 4096, this.fetchPriv);
    return rights !== PMP_MIXED && (rights & PMP_X) !== 0 ? this.ppn - RAM_PFN : -1;
  }

  /** PMP changed: nothing cached holds, and which pages are divided is found out anew. */
  protectionChanged(): void {
    this.flushAll();
    this.cache.forgetMarks();
    this.setRefill();
    if (this.guards) this.code.guarded.fill(0);
    this.guards = false;
  }

  // ---- inside ----

  /** Finds the frame of an address: ppn, pte, level. => WALK_* */
  private locate(lo: number, hi: number, access: number): number {
    const fetch = access === ACCESS_FETCH, priv = fetch ? this.fetchPriv : this.dataPriv, { walker } = this;
    if (priv === PRIV_M || walker.levels === 0) {
      this.ppn = (hi >>> 0) * 0x100000 + (lo >>> 12);
      this.pte = PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
      this.level = 0;
      return this.ppn < PFN_LIMIT ? WALK_OK : WALK_ACCESS_FAULT;
    }
    if (this.hostile !== null) return this.locateHostile(this.hostile, lo, hi, access, priv);
    const outcome = walker.walk(lo, hi, access, priv);
    this.ppn = walker.ppn;
    this.pte = walker.pte;
    this.level = walker.level;
    return outcome;
  }

  /** Searches the unbounded map first, and believes it: rights that are missing there are missing. */
  private locateHostile(hostile: HostileMemory, lo: number, hi: number, access: number, priv: number): number {
    const { walker } = this, vpn = hi * 0x100000 + (lo >>> 12), flags = access === ACCESS_FETCH ? priv : this.dataFlags;
    const kept = walker.canonical(hi) ? hostile.find(this.satpLo, this.satpHi, flags, vpn) : undefined;
    const lacksDirty = kept !== undefined && access === ACCESS_STORE && (kept.pte & PTE_D) === 0;
    if (kept !== undefined && !(lacksDirty && walker.updatesAD)) {
      if (lacksDirty || !walker.permits(kept.pte, access, priv)) return WALK_PAGE_FAULT;
      this.ppn = kept.ppn;
      this.pte = kept.pte;
      this.level = kept.level;
      return WALK_OK;
    }
    const outcome = walker.walk(lo, hi, access, priv);
    if (outcome === WALK_OK) hostile.keep(this.satpLo, this.satpHi, flags, vpn, walker);
    this.ppn = walker.ppn;
    this.pte = walker.pte;
    this.level = walker.level;
    return outcome;
  }

  /** Checks PMP for an access to the located frame of RAM, and caches the page if it has one answer. => false: access fault */
  private fill(lo: number, hi: number, page: number, access: number, size: number): boolean {
    const { dataPriv, pte, walker } = this, rights = this.pmp.page(this.ppn * 4096, dataPriv);
    if (rights === PMP_MIXED) return this.pmp.allows(this.ppn * 4096 + (lo & 4095), size, access, dataPriv);
    if ((rights & access) === 0) return false;
    const bare = dataPriv === PRIV_M || walker.levels === 0, seen = page === this.watchedPage || this.code.hasCode[(page - RAM_OFFSET) >>> 12] === 1;
    // Of a page whose code went to make room: it holds only data now.
    if (!seen && dataPriv !== PRIV_M) this.cache.missStores((page - RAM_OFFSET) >>> 12, rights);
    const read = (rights & PMP_R) !== 0 && (bare || walker.permits(pte, ACCESS_LOAD, dataPriv));
    const write = (rights & PMP_W) !== 0 && (pte & PTE_D) !== 0 && (bare || walker.permits(pte, ACCESS_STORE, dataPriv)) && !seen;
    if (write || access === ACCESS_STORE) this.onWritable(page);
    this.tlb.fillData(this.dataContext, lo, hi, page, read, write, pte, this.level);
    this.came.fills++;
    return true;
  }

  /** A device register. Atomics do not reach devices. */
  private device(lo: number, hi: number, offset: number, kind: number, access: number): number {
    const { bus, words } = this, size = (kind & KIND_SIZE) as AccessSize, pa = this.ppn * 4096 + offset, value = (this.block + SCRATCH_VALUE) >> 2;
    this.came.mmio++;
    if ((kind & (KIND_AMO | KIND_LR)) !== 0 || !this.pmp.allows(pa, size, access, this.dataPriv)) return this.refuse(WALK_ACCESS_FAULT, access, lo, hi);
    if (access === ACCESS_STORE) {
      bus.write(pa, size, words[value]!, words[value + 1]!);
      return bus.fault ? this.refuse(WALK_ACCESS_FAULT, access, lo, hi) : SLOW_DONE;
    }
    const low = bus.read(pa, size);
    if (bus.fault) return this.refuse(WALK_ACCESS_FAULT, access, lo, hi);
    words[value] = low | 0;
    words[value + 1] = bus.readHigh() | 0;
    return this.goOn(this.block + SCRATCH_VALUE);
  }

  /**
   * An access over the end of a page, in two parts of which each has its own fault, in QEMU's order: a load makes the first part
   * before it looks at the second; a store translates both before it makes either, so the first part may have been stored when
   * the bus has no memory for the second. Page faults leave everything as it was.
   */
  private crossing(lo: number, hi: number, size: number, access: number): number {
    const { bytes } = this, inFirst = 4096 - (lo & 4095), nextLo = (lo + inFirst) | 0, nextHi = nextLo === 0 ? (hi + 1) | 0 : hi;
    this.came.crossings++;
    const isLoad = access === ACCESS_LOAD, first = this.ramPage(lo, hi, access, inFirst);
    if (first === TRAPPED) return SLOW_TRAP;
    if (first === NO_RAM && isLoad) return this.refuse(WALK_ACCESS_FAULT, access, lo, hi);
    const second = this.ramPage(nextLo, nextHi, access, size - inFirst);
    if (second === TRAPPED) return SLOW_TRAP;
    if (first === NO_RAM) return this.refuse(WALK_ACCESS_FAULT, access, lo, hi);
    const value = this.block + SCRATCH_VALUE, from = first + 4096 - inFirst;
    if (isLoad) {
      if (second === NO_RAM) return this.refuse(WALK_ACCESS_FAULT, access, nextLo, nextHi);
      bytes.copyWithin(value, from, from + inFirst);
      bytes.copyWithin(value + inFirst, second, second + size - inFirst);
      return this.goOn(value);
    }
    this.codeStored(from, inFirst);
    bytes.copyWithin(from, value, value + inFirst);
    if (second === NO_RAM) return this.refuse(WALK_ACCESS_FAULT, access, nextLo, nextHi);
    this.codeStored(second, size - inFirst);
    bytes.copyWithin(second, value + inFirst, value + size);
    return SLOW_DONE;
  }

  /** Host offset of the page of RAM for part of an access; NO_RAM; TRAPPED after raise. */
  private ramPage(lo: number, hi: number, access: number, size: number): number {
    const hit = this.tlb.lookup(this.dataContext, lo, hi, access === ACCESS_STORE ? TAG_WRITE : TAG_READ);
    if (hit >= 0) return hit;
    let outcome = this.locate(lo, hi, access);
    const page = (this.ppn - RAM_PFN) * 4096 + RAM_OFFSET;
    // Without paging, an address that is longer than any physical one.
    if (this.ppn >= PFN_LIMIT) return NO_RAM;
    if (outcome === WALK_OK && (this.ppn < RAM_PFN || this.ppn >= RAM_PFN + this.ramPages)) {
      if (this.pmp.allows(this.ppn * 4096 + (lo & 4095), size, access, this.dataPriv)) return NO_RAM;
      outcome = WALK_ACCESS_FAULT;
    }
    if (outcome === WALK_OK && !this.fill(lo, hi, page, access, size)) outcome = WALK_ACCESS_FAULT;
    if (outcome === WALK_OK) return page;
    this.refuse(outcome, access, lo, hi);
    return TRAPPED;
  }

  /** Host offset of the page of RAM to fetch from, or -1 after raise. */
  private fetchPage(lo: number, hi: number, size: number): number {
    let outcome = this.locate(lo, hi, ACCESS_FETCH);
    if (outcome === WALK_OK) {
      const rights = this.pmp.page(this.ppn * 4096, this.fetchPriv);
      const granted = rights === PMP_MIXED ? this.pmp.allows(this.ppn * 4096 + (lo & 4095), size, PMP_X, this.fetchPriv) : (rights & PMP_X) !== 0;
      if (granted && this.ppn >= RAM_PFN && this.ppn < RAM_PFN + this.ramPages) {
        if (rights === PMP_MIXED) this.guard(this.ppn - RAM_PFN);
        return (this.ppn - RAM_PFN) * 4096 + RAM_OFFSET;
      }
      outcome = WALK_ACCESS_FAULT;
    }
    this.refuse(outcome, ACCESS_FETCH, lo, hi);
    return -1;
  }

  /** PMP grants a part of the page: each instruction there is checked alone. */
  private guard(ramPage: number): void {
    this.guards = true;
    if (this.code.guarded[ramPage] === 1) return;
    this.code.guarded[ramPage] = 1;
    this.code.storeTo(ramPage * 4096, 4096);
  }

  private goOn(at: number): number {
    this.words[(this.block + SCRATCH_AT) >> 2] = at;
    return SLOW_AT;
  }

  /** Bytes at a host offset are about to change: what was decoded from them is void. */
  private codeStored(at: number, size: number): void {
    if (this.code.hasCode[(at - RAM_OFFSET) >>> 12] === 1) this.code.guestStore(at - RAM_OFFSET, size, this.words[(this.block + IP) >> 2]!);
  }

  private watchedStore(at: number, size: number, kind: number): number {
    this.codeStored(at, size);
    if ((kind & KIND_AMO) !== 0) return this.goOn(at);
    const value = this.block + SCRATCH_VALUE;
    this.bytes.copyWithin(at, value, value + size);
    this.onWatchedStore!();
    return SLOW_DONE;
  }

  private refuse(outcome: number, access: number, lo: number, hi: number): number {
    const pageFault = outcome === WALK_PAGE_FAULT;
    if (pageFault) this.came.pageFaults++;
    else this.came.accessFaults++;
    const cause = access === ACCESS_FETCH ? (pageFault ? CAUSE_FETCH_PAGE : CAUSE_FETCH_ACCESS)
      : access === ACCESS_STORE ? (pageFault ? CAUSE_STORE_PAGE : CAUSE_STORE_ACCESS) : pageFault ? CAUSE_LOAD_PAGE : CAUSE_LOAD_ACCESS;
    this.port.raise(cause, lo, hi);
    return SLOW_TRAP;
  }
}
