// What refill.ts knows without asking TypeScript: where tables of 4 KiB leaves lie, what PMP lets each page of RAM be used for, and
// the context that the data TLB is filled for.
//
//   kept tables   2 MiB of addresses ─► RAM page of their table     by walker and refill; until any fence, another satp, other PMP
//   marks         RAM page ─► PMP_R and PMP_W                      by Mmu, when a context that translates finds them void
//
// Both only say what a walk would find out again. Tables are forgotten by growing old at once, because kernels fence often.
import {
  KEPT_AGE, KEPT_PAGE, KEPT_TABLE, KEPT_TABLES, PAGE_MARKS, RAM_OFFSET, REFILL, REFILL_AGE, REFILL_CONTEXT, REFILL_FILLS, REFILL_KEPT,
  REFILL_LOADS, REFILL_ROOT, REFILL_SHIFT, REFILL_SHORT, REFILL_STORES, REFILL_STRIDE,
} from "../hart/layout.ts";
import { PMP_W } from "../hart/pmp.ts";
import { PTE_A, PTE_D, PTE_R, PTE_U, PTE_V, PTE_W } from "./walk.ts";

/** Pages of a context: those without U, those with it, both. */
export const PAGES_S = 0, PAGES_U = 1, PAGES_ALL = 2;

const LOADS = PTE_V | PTE_R | PTE_A, STORES = LOADS | PTE_W | PTE_D;

export class WalkCache {
  private readonly words: Int32Array;
  private readonly marks: Uint8Array;
  /** Word offset of this hart's part. */
  private readonly at: number;
  private readonly fills: boolean;
  private marksHold = false;

  /** => fills false: every miss is TypeScript's */
  constructor(buffer: ArrayBufferLike, hartId: number, ramBytes: number, fills: boolean) {
    this.words = new Int32Array(buffer, 0, RAM_OFFSET / 4);
    this.marks = new Uint8Array(buffer, PAGE_MARKS, ramBytes / 4096);
    this.at = (REFILL + hartId * REFILL_STRIDE) / 4;
    this.fills = fills;
    this.forgetTables();
  }

  // ---- tables ----

  /** RAM page of the table for 2 MiB of addresses, or -1. => region: bits 21 to 52 of the address */
  table(region: number): number {
    const { words } = this, at = this.slotOf(region);
    return words[at] === region && words[at + KEPT_AGE / 4] === words[this.at + REFILL_AGE / 4] ? words[at + KEPT_PAGE / 4]! : -1;
  }

  keepTable(region: number, ramPage: number): void {
    const { words } = this, at = this.slotOf(region);
    words[at] = region;
    words[at + KEPT_AGE / 4] = words[this.at + REFILL_AGE / 4]!;
    words[at + KEPT_PAGE / 4] = ramPage;
  }

  forgetTables(): void {
    const { words } = this, age = this.at + REFILL_AGE / 4;
    if (++words[age]! !== 0) return;
    // Once around: the oldest would be young again. Memory begins with age 0 everywhere.
    words.fill(0, this.at + REFILL_KEPT / 4, this.at + (REFILL_KEPT + KEPT_TABLES * KEPT_TABLE) / 4);
    words[age] = 1;
  }

  private slotOf(region: number): number {
    return this.at + (REFILL_KEPT + (region & (KEPT_TABLES - 1)) * KEPT_TABLE) / 4;
  }

  // ---- marks ----

  /** PMP changed, and marks say nothing. => the caller writes them anew before the next fillFor */
  forgetMarks(): void {
    this.marksHold = false;
  }

  /** Whether marks have to be written: never where nothing looks at them. */
  get wantsMarks(): boolean {
    return this.fills && !this.marksHold;
  }

  /** => returns the marks, for the caller to write all of them */
  newMarks(): Uint8Array {
    this.marksHold = true;
    return this.marks;
  }

  /** Stores to the page have to be seen from now on. */
  seeStores(ramPage: number): void {
    this.marks[ramPage]! &= ~PMP_W;
  }

  /** They have not, if PMP allows them. */
  missStores(ramPage: number, rights: number): void {
    if (this.marksHold) this.marks[ramPage]! |= rights & PMP_W;
  }

  // ---- the context ----

  /** Refill works for a context of the TLB that translates. => levels: 3 Sv39, 4 Sv48; root: RAM page of its table; pages: PAGES_* that it may use */
  fillFor(context: number, levels: number, root: number, pages: number): void {
    const { at, words } = this, mask = pages === PAGES_ALL ? 0 : PTE_U, want = pages === PAGES_U ? PTE_U : 0;
    words[at + REFILL_SHIFT / 4] = this.fills && root >= 0 && root < this.marks.length ? 3 + 9 * levels : 0;
    words[at + REFILL_ROOT / 4] = root;
    words[at + REFILL_CONTEXT / 4] = context;
    words[at + REFILL_LOADS / 4] = LOADS | mask;
    words[at + REFILL_LOADS / 4 + 1] = LOADS | want;
    words[at + REFILL_STORES / 4] = STORES | mask;
    words[at + REFILL_STORES / 4 + 1] = STORES | want;
  }

  /** No refill: nothing is translated. */
  fillNothing(): void {
    this.words[this.at + REFILL_SHIFT / 4] = 0;
  }

  // ---- what refill did ----

  /** Entries that refill made. */
  get fillCount(): number { return this.count(REFILL_FILLS); }
  /** Those of them that it found from a kept table. */
  get shortCount(): number { return this.count(REFILL_SHORT); }

  private count(offset: number): number {
    const at = this.at + offset / 4;
    return this.words[at + 1]! * 4294967296 + (this.words[at]! >>> 0);
  }
}
