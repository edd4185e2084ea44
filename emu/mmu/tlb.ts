// The TLB: what generated code looks up (layout.ts), and what TypeScript must know to fence it.
//
//   fetch entry   tag | records | listed, G and level at +12
//
// A context is (satp, privilege, SUM, MXR) and owns a bank; 16 are live, the least recently used one goes first. Each
// bank remembers which slots were filled, so that flushing costs what filling did. A superpage is cached as fragments
// of 4 KiB; fencing any address inside drops them all. Only translations are cached, never their absence.
//
// Data entries are filled by TypeScript and by WebAssembly (refill.ts): what must be known of them lies where both see it.
//
// Modes: normal; tiny keeps 4 entries; hostile never forgets by itself (hostile.ts), to show each missing fence.
import {
  BANK_STRIDE, CONTEXTS, DATA_ENTRIES, DATA_ENTRY, ENTRY_LEVEL, ENTRY_LISTED, ENTRY_PTE, FETCH_ENTRIES, FETCH_ENTRY, FETCH_IN_BANK, FETCH_RECORDS, HART_BASE,
  HART_STRIDE, HOST_PAGE, KNOWN_SUPERS, NO_PAGE, NO_TAG, noTag, RAM_OFFSET, REFILL, REFILL_COUNTS, REFILL_FILLED, REFILL_GLOBAL, REFILL_STRIDE, REFILL_SUPERS,
  SLOT_ADDENDS, SLOT_PAGES, SLOTS_USED, TAG_READ, TAG_WRITE, TLB_BASE,
} from "../hart/layout.ts";
import { PTE_G } from "./walk.ts";

const PTE = ENTRY_PTE / 4, LISTED = ENTRY_LISTED / 4, LEVEL = ENTRY_LEVEL / 4, FETCH_META = 12 / 4;
const META_LISTED = 1, META_GLOBAL = 2, META_LEVEL_SHIFT = 2;
const TINY_ENTRIES = 4;
const MODE_SHIFT = 28, ASID_SHIFT = 12, NOT_TRANSLATED = -2;

/** A cached translation, for ddb and tests. */
export interface TlbEntry {
  kind: "data" | "fetch";
  va: number;
  pa: number;
  asid: number;
  priv: number;
  global: boolean;
  level: number;
  read: boolean;
  write: boolean;
}

export class Tlb {
  private readonly tiny: boolean;
  private readonly words: Int32Array;
  private readonly block: number;
  private readonly firstBank: number;

  // Columns by context: its key, when it was used last, and what its bank holds.
  private readonly satpLo = new Int32Array(CONTEXTS);
  private readonly satpHi = new Int32Array(CONTEXTS);
  /** priv | sum << 2 | mxr << 3. */
  private readonly flags = new Int32Array(CONTEXTS);
  private readonly used = new Float64Array(CONTEXTS);
  /** ASID of a context that translates; NOT_TRANSLATED for the others. */
  private readonly asids = new Int32Array(CONTEXTS).fill(NOT_TRANSLATED);
  private readonly dataFilled: Uint16Array[] = [];
  private readonly dataCount: Int32Array;
  private readonly fetchFilled: Uint16Array[] = [];
  private readonly fetchCount = new Int32Array(CONTEXTS);
  /** Superpages of which fragments were filled since the bank was last empty, by `superKey`; refill fills those that it finds in `knownSupers`. */
  private readonly superpages: Set<number>[] = Array.from({ length: CONTEXTS }, () => new Set<number>());
  private readonly knownSupers: Int32Array;
  /** Whether a global entry was filled since then. */
  private readonly hasGlobal: Uint8Array;
  private useCount = 0;
  /** Contexts that have been used; those behind are empty, and the memory of their banks is not there. */
  private made = 0;
  /** A context forgot all, or an unknown part, of what it translated. */
  onForget: (context: number) => void = () => {};
  /** A context was fenced at an address; `level` is that of the largest page around it that is cached. */
  onFence: (context: number, va: number, level: number) => void = () => {};

  /** Offsets (in words) of the tiny TLB's entries, oldest first; fetch entries are negative. */
  private readonly tinyRing: number[] = [];

  constructor(buffer: ArrayBufferLike, hartId: number, tiny: boolean) {
    this.words = new Int32Array(buffer, 0, RAM_OFFSET / 4);
    this.block = HART_BASE + hartId * HART_STRIDE;
    this.words[(this.block + SLOTS_USED) >> 2] = 1;
    this.forgetPages();
    this.firstBank = TLB_BASE + hartId * CONTEXTS * BANK_STRIDE;
    this.tiny = tiny;
    const refill = REFILL + hartId * REFILL_STRIDE;
    this.dataCount = new Int32Array(buffer, refill + REFILL_COUNTS, CONTEXTS);
    this.hasGlobal = new Uint8Array(buffer, refill + REFILL_GLOBAL, CONTEXTS);
    this.knownSupers = new Int32Array(buffer, refill + REFILL_SUPERS, CONTEXTS * KNOWN_SUPERS * 2);
    for (let i = 0; i < CONTEXTS; i++) {
      this.dataFilled.push(new Uint16Array(buffer, refill + REFILL_FILLED + i * DATA_ENTRIES * 2, DATA_ENTRIES));
      this.fetchFilled.push(new Uint16Array(FETCH_ENTRIES));
    }
  }

  /** Byte offset of a context's bank: its data entries. */
  bankOf(context: number): number {
    return this.firstBank + context * BANK_STRIDE;
  }

  /** The context of a key, made if there is none. */
  context(satpLo: number, satpHi: number, flags: number): number {
    let oldest = 0;
    for (let i = 0; i < this.made; i++) {
      if (this.flags[i] === flags && this.satpLo[i] === satpLo && this.satpHi[i] === satpHi) {
        this.used[i] = ++this.useCount;
        return i;
      }
      if (this.used[i]! < this.used[oldest]!) oldest = i;
    }
    if (this.made < CONTEXTS) this.clearBank((oldest = this.made++));
    else this.flush(oldest);
    this.satpLo[oldest] = satpLo;
    this.satpHi[oldest] = satpHi;
    this.flags[oldest] = flags;
    this.asids[oldest] = satpHi >>> MODE_SHIFT === 0 ? NOT_TRANSLATED : (satpHi >>> ASID_SHIFT) & 0xffff;
    this.used[oldest] = ++this.useCount;
    return oldest;
  }

  /**
   * Caches a page for loads and stores.
   *
   * => page: host offset of the frame; pte: the leaf's low word
   * => the tags grant what `read` and `write` say: rights, D, PMP and decoded code are the caller's judgement
   */
  fillData(context: number, vaLo: number, vaHi: number, page: number, read: boolean, write: boolean, pte: number, level: number): void {
    const { words } = this, slot = (vaLo >>> 12) & (DATA_ENTRIES - 1), tagLo = vaLo & ~4095;
    const at = (this.bankOf(context) + slot * DATA_ENTRY) >> 2;
    if (words[at + LISTED] === 0) {
      words[at + LISTED] = 1;
      this.dataFilled[context]![this.dataCount[context]!++] = slot;
    }
    words[at + TAG_READ / 4] = read ? tagLo : noTag(slot);
    words[at + TAG_READ / 4 + 1] = read ? vaHi : 0;
    words[at + TAG_WRITE / 4] = write ? tagLo : noTag(slot);
    words[at + TAG_WRITE / 4 + 1] = write ? vaHi : 0;
    words[at + HOST_PAGE / 4] = page;
    words[at + PTE] = pte;
    words[at + LEVEL] = level;
    if (level > 0) this.knowSuper(context, vaHi * 4294967296 + (vaLo >>> 0), level);
    if ((pte & PTE_G) !== 0) this.hasGlobal[context] = 1;
    if (this.tiny) this.remember(at);
  }

  /** Caches a page for fetches: `records` is the base of its decoded instructions. */
  fillFetch(context: number, vaLo: number, vaHi: number, records: number, pte: number, level: number): void {
    const { words } = this, slot = (vaLo >>> 12) & (FETCH_ENTRIES - 1);
    const at = (this.bankOf(context) + FETCH_IN_BANK + slot * FETCH_ENTRY) >> 2;
    if (words[at + FETCH_META] === 0) this.fetchFilled[context]![this.fetchCount[context]!++] = slot;
    words[at] = vaLo & ~4095;
    words[at + 1] = vaHi;
    words[at + FETCH_RECORDS / 4] = records;
    words[at + FETCH_META] = META_LISTED | ((pte & PTE_G) !== 0 ? META_GLOBAL : 0) | (level << META_LEVEL_SHIFT);
    if (level > 0) this.knowSuper(context, vaHi * 4294967296 + (vaLo >>> 0), level);
    if ((pte & PTE_G) !== 0) this.hasGlobal[context] = 1;
    if (this.tiny) this.remember(-at);
  }

  /** Base of the records of a page that is cached for fetches, or -1. */
  fetchRecords(context: number, vaLo: number, vaHi: number): number {
    const at = (this.bankOf(context) + FETCH_IN_BANK + ((vaLo >>> 12) & (FETCH_ENTRIES - 1)) * FETCH_ENTRY) >> 2, { words } = this;
    return words[at] === (vaLo & ~4095) && words[at + 1] === vaHi ? words[at + FETCH_RECORDS / 4]! : -1;
  }

  /** Host offset of a cached page, or -1: for accesses that generated code cannot make itself. `tag` is TAG_READ or TAG_WRITE. */
  lookup(context: number, vaLo: number, vaHi: number, tag: number): number {
    const at = (this.bankOf(context) + ((vaLo >>> 12) & (DATA_ENTRIES - 1)) * DATA_ENTRY) >> 2, { words } = this, tagLo = vaLo & ~4095;
    if (words[at + tag / 4] !== tagLo || words[at + tag / 4 + 1] !== vaHi) return -1;
    return words[at + HOST_PAGE / 4]!;
  }

  /** Empties the page slots, which go by the TLB: it forgets something, or another context's bank is looked at from now on. */
  forgetPages(): void {
    const { words, block } = this;
    if (words[(block + SLOTS_USED) >> 2] === 0) return;
    words[(block + SLOTS_USED) >> 2] = 0;
    words.fill(NO_PAGE, (block + SLOT_PAGES) >> 2, (block + SLOT_ADDENDS) >> 2);
  }

  // ---- fences ----

  flushAll(): void {
    for (let i = 0; i < this.made; i++) this.flush(i);
  }

  /** Drops what an ASID has cached, except global pages. */
  fenceAsid(asid: number): void {
    this.forgetPages();
    for (let i = 0; i < this.made; i++) {
      if (this.asids[i] !== asid) continue;
      this.onForget(i);
      if (this.hasGlobal[i] === 0) this.flush(i);
      else this.dropWhere(i, (_va, _level, global) => !global);
    }
  }

  /** Drops a page, and all fragments of a superpage around it. => asid -1: of every address space, and global ones */
  fenceVa(vaLo: number, vaHi: number, asid: number): void {
    this.forgetPages();
    const { asids } = this, va = vaHi * 4294967296 + (vaLo >>> 0);
    for (let i = 0; i < this.made; i++) {
      if (asid >= 0 ? asids[i] !== asid : asids[i] === NOT_TRANSLATED) continue;
      const level = this.superLevel(i, va);
      this.onFence(i, va, level);
      if (level > 0) this.dropAround(i, va, asid);
      else this.dropPage(i, vaLo, vaHi, asid >= 0);
    }
  }

  /** A page of RAM holds decoded code now: stores to it must come to TypeScript. => page: its host offset */
  dropWrites(page: number): void {
    this.forgetPages();
    const { words } = this;
    for (let i = 0; i < this.made; i++) {
      const bank = this.bankOf(i), slots = this.dataFilled[i]!;
      for (let n = this.dataCount[i]! - 1; n >= 0; n--) {
        const at = (bank + slots[n]! * DATA_ENTRY) >> 2;
        if (words[at + HOST_PAGE / 4] === page) this.untag(at + TAG_WRITE / 4, slots[n]!);
      }
    }
  }

  /** Every store misses until its page is filled again. */
  dropAllWrites(): void {
    this.forgetPages();
    for (let i = 0; i < this.made; i++) {
      const bank = this.bankOf(i), slots = this.dataFilled[i]!;
      for (let n = this.dataCount[i]! - 1; n >= 0; n--) this.untag((bank + slots[n]! * DATA_ENTRY + TAG_WRITE) >> 2, slots[n]!);
    }
  }

  /** Decoded instructions moved away from `records`: no fetch entry may lead there. */
  dropRecords(records: number): void {
    const { words } = this;
    for (let i = 0; i < this.made; i++) {
      const bank = this.bankOf(i) + FETCH_IN_BANK, slots = this.fetchFilled[i]!;
      for (let n = this.fetchCount[i]! - 1; n >= 0; n--) {
        const at = (bank + slots[n]! * FETCH_ENTRY) >> 2;
        if (words[at + FETCH_RECORDS / 4] === records) words[at] = words[at + 1] = NO_TAG;
      }
    }
  }

  // ---- questions ----

  /** Everything cached. `frameOf` turns a record base into a physical page. */
  entries(frameOf: (records: number) => number): TlbEntry[] {
    const { words } = this, found: TlbEntry[] = [];
    for (let i = 0; i < this.made; i++) {
      const common = { asid: this.asidOf(i), priv: this.flags[i]! & 3 };
      for (let n = 0; n < this.dataCount[i]!; n++) {
        const at = (this.bankOf(i) + this.dataFilled[i]![n]! * DATA_ENTRY) >> 2;
        const read = (words[at]! & 1) === 0, write = (words[at + 2]! & 1) === 0;
        if (!read && !write) continue;
        const lo = words[read ? at : at + 2]!, hi = words[read ? at + 1 : at + 3]!;
        const page = words[at + HOST_PAGE / 4]!;
        found.push({
          kind: "data", va: hi * 4294967296 + (lo >>> 0), pa: page - RAM_OFFSET + 0x80000000, ...common, read, write,
          global: (words[at + PTE]! & PTE_G) !== 0, level: words[at + LEVEL]!,
        });
      }
      for (let n = 0; n < this.fetchCount[i]!; n++) {
        const at = (this.bankOf(i) + FETCH_IN_BANK + this.fetchFilled[i]![n]! * FETCH_ENTRY) >> 2, meta = words[at + FETCH_META]!;
        if (words[at] === NO_TAG && words[at + 1] === NO_TAG) continue;
        found.push({
          kind: "fetch", va: words[at + 1]! * 4294967296 + (words[at]! >>> 0), pa: frameOf(words[at + FETCH_RECORDS / 4]!), ...common, read: false,
          write: false, global: (meta & META_GLOBAL) !== 0, level: meta >> META_LEVEL_SHIFT,
        });
      }
    }
    return found;
  }

  // ---- inside ----

  /** Makes a data tag one that nothing matches. => tagAt: in words; slot: the entry's place in its bank */
  private untag(tagAt: number, slot: number): void {
    this.words[tagAt] = noTag(slot);
    this.words[tagAt + 1] = 0;
  }

  /** Drops the fragments of superpages around an address. Apart from fenceVa, which would allocate for the closure's sake. */
  private dropAround(context: number, va: number, asid: number): void {
    this.dropWhere(context, (at, level, global) => (asid < 0 || !global) && samePage(at, va, level));
  }

  private asidOf(context: number): number {
    return (this.satpHi[context]! >>> ASID_SHIFT) & 0xffff;
  }

  /** The level of the largest superpage around an address that a context has fragments of, or 0. */
  private superLevel(context: number, va: number): number {
    const known = this.superpages[context]!;
    if (known.size === 0) return 0;
    for (let level = LEVELS_MAX - 1; level > 0; level--) if (known.has(superKey(va, level))) return level;
    return 0;
  }

  /** Empties a bank by what was filled. */
  private flush(context: number): void {
    this.forgetPages();
    this.onForget(context);
    const { words } = this, bank = this.bankOf(context);
    const data = this.dataFilled[context]!, fetch = this.fetchFilled[context]!;
    for (let n = this.dataCount[context]! - 1; n >= 0; n--) {
      const at = (bank + data[n]! * DATA_ENTRY) >> 2;
      this.untag(at, data[n]!);
      this.untag(at + TAG_WRITE / 4, data[n]!);
      words[at + LISTED] = 0;
    }
    for (let n = this.fetchCount[context]! - 1; n >= 0; n--) {
      const at = (bank + FETCH_IN_BANK + fetch[n]! * FETCH_ENTRY) >> 2;
      words[at] = words[at + 1] = NO_TAG;
      words[at + FETCH_META] = 0;
    }
    this.dataCount[context] = this.fetchCount[context] = 0;
    this.hasGlobal[context] = 0;
    if (this.superpages[context]!.size === 0) return;
    this.superpages[context]!.clear();
    this.knownSupers.fill(0, context * KNOWN_SUPERS * 2, (context + 1) * KNOWN_SUPERS * 2);
  }

  /** A context caches a fragment of the superpage of a level around an address. */
  private knowSuper(context: number, va: number, level: number): void {
    this.superpages[context]!.add(superKey(va, level));
    const page = Math.floor(va / PAGE_SIZES[level]!), at = (context * KNOWN_SUPERS + (page & (KNOWN_SUPERS - 1))) * 2, key = page * 64 + 12 + 9 * level;
    this.knownSupers[at] = key;
    this.knownSupers[at + 1] = Math.floor(key / 4294967296);
  }

  /** Makes a bank that has not been used an empty one. */
  private clearBank(context: number): void {
    const { words } = this, bank = this.bankOf(context) >> 2;
    words.fill(NO_TAG, bank, bank + BANK_STRIDE / 4);
    for (let n = 0; n < DATA_ENTRIES; n++) {
      const at = bank + (n * DATA_ENTRY) / 4;
      this.untag(at, n);
      this.untag(at + TAG_WRITE / 4, n);
      words[at + LISTED] = 0;
    }
    for (let n = 0; n < FETCH_ENTRIES; n++) words[bank + (FETCH_IN_BANK + n * FETCH_ENTRY) / 4 + FETCH_META] = 0;
  }

  /** Drops one page's own entries. */
  private dropPage(context: number, vaLo: number, vaHi: number, keepGlobal: boolean): void {
    const { words } = this, bank = this.bankOf(context), tagLo = vaLo & ~4095, slot = (vaLo >>> 12) & (DATA_ENTRIES - 1);
    const at = (bank + slot * DATA_ENTRY) >> 2;
    if (!keepGlobal || (words[at + PTE]! & PTE_G) === 0) {
      if (words[at] === tagLo && words[at + 1] === vaHi) this.untag(at, slot);
      if (words[at + 2] === tagLo && words[at + 3] === vaHi) this.untag(at + 2, slot);
    }
    const fetchAt = (bank + FETCH_IN_BANK + ((vaLo >>> 12) & (FETCH_ENTRIES - 1)) * FETCH_ENTRY) >> 2;
    if (keepGlobal && (words[fetchAt + FETCH_META]! & META_GLOBAL) !== 0) return;
    if (words[fetchAt] === tagLo && words[fetchAt + 1] === vaHi) words[fetchAt] = words[fetchAt + 1] = NO_TAG;
  }

  /** Drops the entries of which a predicate over (va, level, global) holds. */
  private dropWhere(context: number, gone: (va: number, level: number, global: boolean) => boolean): void {
    const { words } = this, bank = this.bankOf(context);
    for (let n = this.dataCount[context]! - 1; n >= 0; n--) {
      const slot = this.dataFilled[context]![n]!, at = (bank + slot * DATA_ENTRY) >> 2, global = (words[at + PTE]! & PTE_G) !== 0;
      for (let tag = at; tag <= at + 2; tag += 2) {
        const lo = words[tag]!, hi = words[tag + 1]!;
        if ((lo & 1) === 0 && gone(hi * 4294967296 + (lo >>> 0), words[at + LEVEL]!, global)) this.untag(tag, slot);
      }
    }
    for (let n = this.fetchCount[context]! - 1; n >= 0; n--) {
      const at = (bank + FETCH_IN_BANK + this.fetchFilled[context]![n]! * FETCH_ENTRY) >> 2, lo = words[at]!, hi = words[at + 1]!;
      if (lo === NO_TAG && hi === NO_TAG) continue;
      const meta = words[at + FETCH_META]!;
      if (gone(hi * 4294967296 + (lo >>> 0), meta >> META_LEVEL_SHIFT, (meta & META_GLOBAL) !== 0)) words[at] = words[at + 1] = NO_TAG;
    }
  }

  /** Makes room in the tiny TLB for the entry at a word offset (negative: a fetch entry). */
  private remember(at: number): void {
    const { tinyRing, words } = this, known = tinyRing.indexOf(at);
    if (known >= 0) tinyRing.splice(known, 1);
    tinyRing.push(at);
    if (tinyRing.length <= TINY_ENTRIES) return;
    const oldest = tinyRing.shift()!, where = Math.abs(oldest);
    if (oldest < 0) words[where] = words[where + 1] = NO_TAG;
    else for (const tag of [where, where + 2]) this.untag(tag, ((where * 4 - this.firstBank) % BANK_STRIDE) / DATA_ENTRY);
  }
}

const PAGE_SIZES = [0x1000, 0x200000, 0x40000000, 0x8000000000], LEVELS_MAX = PAGE_SIZES.length;

/** A number for the page of a level that an address lies in: 27 bits of a superpage's number and the level, so that it is a small integer. */
const superKey = (va: number, level: number): number => (Math.floor(va / PAGE_SIZES[level]!) << 2) | level;

/** Whether two addresses lie in one page of a level. */
export function samePage(a: number, b: number, level: number): boolean {
  const size = PAGE_SIZES[level]!;
  return Math.floor(a / size) === Math.floor(b / size);
}
