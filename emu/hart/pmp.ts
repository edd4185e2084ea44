// Physical memory protection: 16 entries that grant M-mode's consent to S- and U-mode (and bind M-mode when locked).
//
//   pmpcfg byte   L 7 | 0 6:5 | A 4:3 (OFF, TOR, NA4, NAPOT) | X 2 | W 1 | R 0
//   pmpaddr       address bits 55:2
//
// The lowest-numbered entry that touches an access decides, and must cover all of it. The TLB asks for a whole page at
// once; a page that an entry covers in part has no single answer, is never cached, and is checked at every access.

export const PMP_ENTRIES = 16;
export const PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_RWX = 7;
/** The answer of `page()` when entries divide the page. */
export const PMP_MIXED = -1;

const L = 0x80, A = 0x18, TOR = 0x08, NAPOT = 0x18, WRITABLE = 0x9f;
const TWO32 = 4294967296;
const PRIV_M = 3;

export class Pmp {
  readonly cfg = new Uint8Array(PMP_ENTRIES);
  private readonly addrLo = new Uint32Array(PMP_ENTRIES);
  private readonly addrHi = new Uint32Array(PMP_ENTRIES);
  /** The entries that are on, in order: first byte, byte after the last, cfg. */
  private readonly from = new Float64Array(PMP_ENTRIES);
  private readonly to = new Float64Array(PMP_ENTRIES);
  private readonly rights = new Uint8Array(PMP_ENTRIES);
  private active = 0;
  private anyLocked = false;
  /** The first entry grants everything to everyone: the usual case, answered at once. */
  private allOpen = false;

  /** Grants everything, as firmware does before it enters S-mode. */
  open(): void {
    this.writeAddr(0, 0xffffffff, 0x3fffff);
    this.writeCfg(0, NAPOT | PMP_RWX);
  }

  reset(): void {
    this.cfg.fill(0);
    this.addrLo.fill(0);
    this.addrHi.fill(0);
    this.update();
  }

  readAddrLo(i: number): number { return this.addrLo[i]!; }
  readAddrHi(i: number): number { return this.addrHi[i]!; }

  /** => false when the entry is locked and nothing changed */
  writeAddr(i: number, lo: number, hi: number): boolean {
    if ((this.cfg[i]! & L) !== 0) return false;
    // The next entry, when a locked TOR, has this address as its lower bound.
    if (i + 1 < PMP_ENTRIES && (this.cfg[i + 1]! & (L | A)) === (L | TOR)) return false;
    this.addrLo[i] = lo;
    this.addrHi[i] = hi & 0x3fffff;
    this.update();
    return true;
  }

  writeCfg(i: number, value: number): boolean {
    if ((this.cfg[i]! & L) !== 0) return false;
    let cfg = value & WRITABLE;
    // W without R is reserved; legalised by dropping W.
    if ((cfg & (PMP_R | PMP_W)) === PMP_W) cfg &= ~PMP_W;
    this.cfg[i] = cfg;
    this.update();
    return true;
  }

  /** => PMP_R|W|X that all bytes of the page grant, or PMP_MIXED when an entry divides it */
  page(pagePa: number, priv: number): number {
    if (this.allOpen || (priv === PRIV_M && !this.anyLocked)) return PMP_RWX;
    const end = pagePa + 4096;
    for (let i = 0; i < this.active; i++) {
      const from = this.from[i]!, to = this.to[i]!;
      if (from >= end || to <= pagePa) continue;
      if (from > pagePa || to < end) return PMP_MIXED;
      const rights = this.rights[i]!;
      return priv === PRIV_M && (rights & L) === 0 ? PMP_RWX : rights & PMP_RWX;
    }
    return priv === PRIV_M ? PMP_RWX : 0;
  }

  /** Writes what `page` answers for S and U: PMP_R and PMP_W of each page from an address on, 0 where entries divide it. */
  pages(pa: number, rights: Uint8Array): void {
    const place = (page: number) => Math.min(Math.max(page, 0), rights.length);
    rights.fill(0);
    for (let i = this.active - 1; i >= 0; i--) {
      const from = (this.from[i]! - pa) / 4096, to = (this.to[i]! - pa) / 4096;
      rights.fill(0, place(Math.floor(from)), place(Math.ceil(to)));
      rights.fill(this.rights[i]! & (PMP_R | PMP_W), place(Math.ceil(from)), place(Math.floor(to)));
    }
  }

  /** Whether one access has all of `need` (PMP_R|W|X). */
  allows(pa: number, sizeBytes: number, need: number, priv: number): boolean {
    if (this.allOpen) return true;
    const end = pa + sizeBytes;
    for (let i = 0; i < this.active; i++) {
      const from = this.from[i]!, to = this.to[i]!;
      if (from >= end || to <= pa) continue;
      if (from > pa || to < end) return false;
      const rights = this.rights[i]!;
      return (priv === PRIV_M && (rights & L) === 0) || (rights & need) === need;
    }
    return priv === PRIV_M;
  }

  /** Recomputes the ranges. */
  private update(): void {
    let n = 0;
    this.anyLocked = false;
    for (let i = 0; i < PMP_ENTRIES; i++) {
      const cfg = this.cfg[i]!, mode = cfg & A;
      if (mode === 0) continue;
      let from = this.address(i), to = from + 4;
      if (mode === TOR) {
        to = from;
        from = i === 0 ? 0 : this.address(i - 1);
      } else if (mode === NAPOT) {
        const lenBytes = 2 ** (this.trailingOnes(i) + 3);
        from = Math.floor(from / lenBytes) * lenBytes;
        to = from + lenBytes;
      }
      if (from >= to) continue;
      if ((cfg & L) !== 0) this.anyLocked = true;
      this.from[n] = from;
      this.to[n] = to;
      this.rights[n++] = cfg;
    }
    this.active = n;
    this.allOpen = n > 0 && this.from[0] === 0 && this.to[0]! >= 2 ** 56 && (this.rights[0]! & PMP_RWX) === PMP_RWX;
  }

  /** Byte address; exact below 2^53, and no access lies above. */
  private address(i: number): number {
    return (this.addrHi[i]! * TWO32 + this.addrLo[i]!) * 4;
  }

  private trailingOnes(i: number): number {
    const count = (word: number) => (word === -1 ? 32 : 31 - Math.clz32(~word & -~word));
    const low = count(this.addrLo[i]! | 0);
    return low < 32 ? low : 32 + Math.min(22, count(this.addrHi[i]! | 0));
  }
}
