// The page-table walk of Sv39 and Sv48.
//
//   va    | VPN[3] (Sv48) | VPN[2] 38:30 | VPN[1] 29:21 | VPN[0] 20:12 | offset |
//   PTE   | N 63, PBMT 62:61, 60:54: must be 0 | PPN 53:10 | RSW 9:8 | D A G U X W R V |
//
// Addresses come as two 32-bit halves and page numbers are JS numbers (44 bits fit), so nothing here allocates. Results
// are fields. The walker only reads page tables and sets A and D; of what it read it keeps only where the last tables of
// 4 KiB leaves lie (walkcache.ts), until any fence or another satp. What else is cached is the TLB's matter. What most misses want
// is walked in WebAssembly (refill.ts), which has to agree with this.
import { RAM_BASE, type Ram } from "../bus/ram.ts";
import { PMP_R, PMP_W, type Pmp } from "../hart/pmp.ts";
import type { WalkCache } from "./walkcache.ts";

export const PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_G = 32, PTE_A = 64, PTE_D = 128;

/** What an access wants; the same bits as in PMP. */
export const ACCESS_LOAD = 1, ACCESS_STORE = 2, ACCESS_FETCH = 4;

export const WALK_OK = 0, WALK_PAGE_FAULT = 1, WALK_ACCESS_FAULT = 2;

export const SATP_BARE = 0, SATP_SV39 = 8, SATP_SV48 = 9;

const PRIV_U = 0, PRIV_S = 1;
const PPN_HIGH = 0x3fffff, RAM_PFN = RAM_BASE / 4096;
const PPN_SCALE = 0x400000;

export class Walker {
  /** RAM, and how many pages it has. */
  private readonly words: Int32Array;
  private readonly ramPages: number;
  private readonly pmp: Pmp;

  // The translation context, set from CSRs.
  /** 3 for Sv39, 4 for Sv48, 0 for bare. */
  levels = 0;
  rootPpn = 0;
  private satpLo = 0;
  private satpHi = 0;
  sum = false;
  mxr = false;
  /** Whether the hart sets A and D itself; otherwise a missing bit is a page fault. */
  updatesAD = true;

  // The result of the last successful walk.
  /** Frame number of the 4 KiB page. */
  ppn = 0;
  /** Level of the leaf: 0 is 4 KiB, 1 is 2 MiB, 2 is 1 GiB. */
  level = 0;
  /** Low word of the leaf as it is now in memory, A and D included. */
  pte = 0;

  /** Walks done here, those of them that began at a kept table, and A or D bits set. */
  private walked = 0;
  private walkedShort = 0;
  adUpdates = 0;

  private readonly cache: WalkCache | null;

  /** Told of a store into a page table, which might be on a page with decoded code. */
  onPteStore: ((pa: number) => void) | null = null;

  /** => cache null: each walk begins at the root */
  constructor(ram: Ram, pmp: Pmp, cache: WalkCache | null = null) {
    this.cache = cache;
    this.words = ram.i32;
    this.ramPages = ram.size / 4096;
    this.pmp = pmp;
  }

  /** Whether the address is a sign-extended one of the current mode. */
  canonical(hi: number): boolean {
    const above = this.levels === 4 ? hi >> 15 : hi >> 6;
    return above === 0 || above === -1;
  }

  /** Walks done, in TypeScript or in WebAssembly, and those that began at a kept table; for the statistics. */
  get walks(): number { return this.walked + (this.cache?.fillCount ?? 0); }
  get shortWalks(): number { return this.walkedShort + (this.cache?.shortCount ?? 0); }

  /** Forgets where tables are: a fence of whatever kind, another satp, other PMP. */
  forgetTables(): void {
    if (this.cache !== null) this.cache.forgetTables();
  }

  /** Sets the tables to walk. => levels: 3 Sv39, 4 Sv48, 0 no paging; satp whole, as it says when the tables are others */
  setRoot(levels: number, satpLo: number, satpHi: number): void {
    if (this.satpLo === satpLo && this.satpHi === satpHi) return;
    this.satpLo = satpLo;
    this.satpHi = satpHi;
    this.levels = levels;
    this.rootPpn = (satpHi & 0xfff) * 4294967296 + (satpLo >>> 0);
    this.forgetTables();
  }

  /**
   * Translates one address for one access. `priv` is the effective privilege, U or S.
   *
   * => levels is not 0
   * => WALK_OK with ppn, level, pte; or WALK_PAGE_FAULT or WALK_ACCESS_FAULT, the result fields undefined then
   */
  walk(lo: number, hi: number, access: number, priv: number): number {
    this.walked++;
    if (!this.canonical(hi)) return WALK_PAGE_FAULT;
    // One pass in nearly every case: only a table changed under the A/D update makes another.
    for (let tries = 0; tries < 64; tries++) {
      const outcome = this.descend(lo, hi, access, priv);
      if (outcome >= 0) return outcome;
    }
    return WALK_PAGE_FAULT;
  }

  /** One pass from the root. => as walk, or -1 when the leaf changed before its A or D could be set */
  private descend(lo: number, hi: number, access: number, priv: number): number {
    const { cache, pmp, words } = this, region = (lo >>> 21) | (hi << 11), kept = cache === null ? -1 : cache.table(region);
    let table = this.rootPpn, level = this.levels - 1;
    if (kept >= 0) {
      this.walkedShort++;
      table = kept + RAM_PFN;
      level = 0;
    }
    for (; level >= 0; level--) {
      const index = vpnAt(lo, hi, level), ptePa = table * 4096 + index * 8, frame = table - RAM_PFN;
      if (!(frame >= 0 && frame < this.ramPages)) return WALK_ACCESS_FAULT;
      if (!pmp.allows(ptePa, 8, PMP_R, PRIV_S)) return WALK_ACCESS_FAULT;
      if (level === 0 && kept < 0 && cache !== null) cache.keepTable(region, frame);
      const at = ((frame << 10) + index * 2) | 0, pteLo = words[at]!, pteHi = words[at + 1]!;
      if ((pteLo & PTE_V) === 0 || (pteHi >>> 22) !== 0) return WALK_PAGE_FAULT;
      const ppn = (pteHi & PPN_HIGH) * PPN_SCALE + (pteLo >>> 10);
      if ((pteLo & (PTE_R | PTE_W | PTE_X)) === 0) {
        if ((pteLo & (PTE_A | PTE_D | PTE_U)) !== 0) return WALK_PAGE_FAULT;
        table = ppn;
        continue;
      }
      if (!this.permits(pteLo, access, priv)) return WALK_PAGE_FAULT;
      // Low bits of the page number that the superpage's offset supplies must be zero in the PTE.
      const span = level === 0 ? 1 : level === 1 ? 0x200 : level === 2 ? 0x40000 : 0x8000000;
      if ((pteLo >>> 10 & (span - 1) & PPN_HIGH) !== 0 || (level === 3 && (pteHi & 31) !== 0)) return WALK_PAGE_FAULT;
      const wanted = PTE_A | (access === ACCESS_STORE ? PTE_D : 0);
      let pte = pteLo;
      if ((pteLo & wanted) !== wanted) {
        if (!this.updatesAD) return WALK_PAGE_FAULT;
        if (!pmp.allows(ptePa, 8, PMP_W, PRIV_S)) return WALK_ACCESS_FAULT;
        // Compare-and-swap against the walked PTE.
        if (words[at] !== pteLo || words[at + 1] !== pteHi) return -1;
        pte |= wanted;
        words[at] = pte;
        this.adUpdates++;
        if (this.onPteStore !== null) this.onPteStore(ptePa);
      }
      this.ppn = ppn + this.pageInside(lo, hi, level);
      this.level = level;
      this.pte = pte;
      return WALK_OK;
    }
    return WALK_PAGE_FAULT;
  }

  /** Whether a leaf's rights, and U against privilege, SUM and MXR, allow the access. A and D are not looked at. */
  permits(pte: number, access: number, priv: number): boolean {
    // W without R is reserved, with X or without.
    if ((pte & (PTE_R | PTE_W)) === PTE_W) return false;
    if ((pte & PTE_U) !== 0) {
      if (priv !== PRIV_U && (access === ACCESS_FETCH || !this.sum)) return false;
    } else if (priv === PRIV_U) {
      return false;
    }
    if (access === ACCESS_FETCH) return (pte & PTE_X) !== 0;
    if (access === ACCESS_STORE) return (pte & PTE_W) !== 0;
    return (pte & PTE_R) !== 0 || (this.mxr && (pte & PTE_X) !== 0);
  }

  /** The 4 KiB page of the address inside a superpage. */
  private pageInside(lo: number, hi: number, level: number): number {
    const page = (lo >>> 12) + (hi & 0x7f) * 0x100000;
    return level === 0 ? 0 : level === 1 ? page & 0x1ff : level === 2 ? page & 0x3ffff : page % 0x8000000;
  }
}

/** Index into the table of one level. */
export function vpnAt(lo: number, hi: number, level: number): number {
  switch (level) {
    case 0: return (lo >>> 12) & 0x1ff;
    case 1: return (lo >>> 21) & 0x1ff;
    case 2: return ((lo >>> 30) | (hi << 2)) & 0x1ff;
    default: return (hi >>> 7) & 0x1ff;
  }
}
