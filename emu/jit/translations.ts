// The translations that there are: which function stands for which code, and where it may be entered.
//
//   record of an entry, operation OP_ENTER ─ENTRY_OF─► cell { stamp, slot, need, op, pc, entry } ─slot─► function in the table
//   RAM page ─byPage─► translations whose code lies on it
//
// A cell keeps the operation that its record had. Cells of dropped translations go back with their module (modules.ts): callers
// may still look at their stamps. A cell that nobody has is stamped 0. Slots, cells, modules and bytes are bounded; at a bound what was not
// used for longest goes (ageing.ts). Whether a translation holds in an address space is the engine's matter.
import type { CodeCache } from "../hart/codecache.ts";
import {
  CELL, CELL_ENTRY, CELL_NEED, CELL_OP, CELL_PC, CELL_SLOT, CELL_STAMP, CELLS, ENTRY_CELLS, ENTRY_OF_BIAS, REC_COUNT,
} from "../hart/layout.ts";
import { OP_DECODE, OP_ENTER } from "../hart/ops.ts";
import { Ageing } from "./ageing.ts";
import type { Built } from "./batch.ts";
import { DEPTH_BITS, TABLE_SLOTS } from "./core.ts";
import { type LiveModule, Modules } from "./modules.ts";
import type { Region } from "./region.ts";

/** A region that was translated. */
export interface Translation {
  readonly va: number;
  readonly insns: number;
  readonly wasmBytes: number;
  readonly slot: number;
  readonly module: LiveModule;
  readonly pages: Region["pages"];
  readonly cells: { readonly record: number; readonly cell: number }[];
  /** Its instructions. */
  readonly code: ReadonlySet<number>;
  readonly exits: readonly number[];
  /** Verifications that failed since the last that did not. */
  refusals: number;
}

/** What a batch may take. */
const SLOTS_RESERVE = 128, CELLS_RESERVE = 4096;
/** WebAssembly of live modules: V8 makes several times as many bytes of machine code of it. */
const WASM_MAX = 8 << 20;
const TWO32 = 4294967296, PAGE_BYTES = [4096, 0x200000] as const;

/** Number of a page of a level, cut to 32 bits: maps find those fast, and two pages that share one are fenced together. */
const pageKey = (va: number, level: number): number => Math.floor(va / PAGE_BYTES[level]!) | 0;

export class Translations {
  private readonly code: CodeCache;
  private readonly table: WebAssembly.Table;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  private readonly modulesMax: number;
  private readonly ageing = new Ageing();
  readonly modules = new Modules((cells) => this.giveBack(cells));
  private readonly ofCell: (Translation | null)[] = [];
  private readonly byPage = new Map<number, Set<Translation>>();
  private readonly freeCells: number[] = [];
  private readonly freeSlots: number[] = [];
  /** By level: how many translations lie on a virtual page of 4 KiB or 2 MiB. */
  private readonly vas = [new Map<number, number>(), new Map<number, number>()] as const;

  /** => modulesMax: bound of live modules, each of which takes some mappings of the host's */
  constructor(memory: WebAssembly.Memory, code: CodeCache, table: WebAssembly.Table, modulesMax: number) {
    this.modulesMax = modulesMax;
    this.code = code;
    this.table = table;
    this.u16 = new Uint16Array(memory.buffer);
    this.i32 = new Int32Array(memory.buffer);
    for (let i = ENTRY_CELLS - 1; i >= 0; i--) this.freeCells.push(i);
    for (let i = TABLE_SLOTS - 1; i >= 0; i--) this.freeSlots.push(i);
  }

  // ---- bounds ----

  /** How much of the fullest bound is used, from 0 to 1. */
  private get pressure(): number {
    const { freeSlots, freeCells, modules } = this;
    return Math.max((TABLE_SLOTS - freeSlots.length) / (TABLE_SLOTS - SLOTS_RESERVE), (ENTRY_CELLS - freeCells.length) / (ENTRY_CELLS - CELLS_RESERVE),
      modules.count / this.modulesMax, modules.bytes / WASM_MAX);
  }

  /** Sees to it that there is room for another batch. => evict: drops a translation */
  makeRoom(evict: (t: Translation) => void): void {
    this.ageing.age(this.pressure, (t) => this.stamp(t, 0));
    for (const t of this.ageing) {
      if (this.pressure < 1) return;
      evict(t);
    }
  }

  /** A translation was found to hold, and is entered. */
  used(t: Translation): void {
    this.ageing.used(t);
  }

  /** Every translation. */
  get all(): Translation[] {
    return [...this.ageing];
  }

  get count(): number {
    return this.ageing.count;
  }

  // ---- cells ----

  takeCell(): number {
    return this.freeCells.pop()!;
  }

  /** Takes cells back that nobody has seen. */
  giveBack(cells: readonly number[]): void {
    this.freeCells.push(...cells);
  }

  /** Byte offset of a cell. */
  cellAt(cell: number): number {
    return CELLS + cell * CELL;
  }

  /** The address that a cell's entry is for. */
  pcOf(cell: number): number {
    const at = (CELLS + cell * CELL + CELL_PC) >> 2;
    return this.i32[at + 1]! * TWO32 + (this.i32[at]! >>> 0);
  }

  /** The cell of the entry at a record. => isEntry */
  cellOf(record: number): number {
    return this.u16[(record >> 3) + ENTRY_OF_BIAS >> 1]!;
  }

  isEntry(record: number): boolean {
    return this.u16[record >> 1] === OP_ENTER;
  }

  /** The translation of a cell. => its entry is in place */
  of(cell: number): Translation {
    return this.ofCell[cell]!;
  }

  /** The cell of an entry at this record for just this address, or -1. */
  entryFor(record: number, va: number): number {
    if (record < 0 || !this.isEntry(record)) return -1;
    const cell = this.cellOf(record);
    return this.pcOf(cell) === va ? cell : -1;
  }

  /** All its entries may be entered while this is the epoch. */
  stamp(t: Translation, epoch: number): void {
    for (const c of t.cells) this.i32[(CELLS + c.cell * CELL + CELL_STAMP) >> 2] = epoch;
  }

  // ---- pages ----

  /** Translations with code on a RAM page. */
  on(ramPage: number): Iterable<Translation> {
    return this.byPage.get(ramPage) ?? [];
  }

  /** Whether there is code of a translation on a RAM page. */
  isOn(ramPage: number): boolean {
    return this.byPage.has(ramPage);
  }

  /** Whether the page of a level (0: 4 KiB, 1: 2 MiB) around an address holds translated code in some address space. */
  holdsCode(va: number, level: 0 | 1): boolean {
    return this.vas[level].has(pageKey(va, level));
  }

  /** Counts a translation's pages in, or out again. */
  private countPages(t: Translation, by: 1 | -1): void {
    for (const { va } of t.pages) {
      this.vas.forEach((counts, level) => {
        const page = pageKey(va, level), n = (counts.get(page) ?? 0) + by;
        if (n === 0) counts.delete(page);
        else counts.set(page, n);
      });
    }
  }

  // ---- in and out ----

  /** Puts a function into the table, and its entries in place. => recordOf: the record of an address that is mapped now, or -1 */
  install({ region, firstCell, needs, f, wasmBytes }: Built, module: LiveModule, epoch: number, recordOf: (va: number) => number): void {
    const slot = this.freeSlots.pop()!, code = new Set<number>();
    for (const b of region.blocks) for (const insn of b.insns) code.add(insn.va);
    const t: Translation = { va: region.entryVa, insns: region.insnCount, wasmBytes, slot, module, pages: region.pages, cells: [], code, exits: region.exits, refusals: 0 };
    this.table.set(slot, f);
    region.entries.forEach((id, n) => {
      const { va } = region.blocks[id]!, record = recordOf(va);
      // Another region's entry stays: both are right.
      if (record < 0 || this.isEntry(record)) return;
      if (this.u16[record >> 1] === OP_DECODE) this.code.decodeAt(record);
      this.code.standAlone(record);
      const cell = n === 0 ? firstCell : this.takeCell(), at = this.cellAt(cell) >> 2, { i32 } = this;
      if (n > 0) module.cells.push(cell);
      i32[at + CELL_STAMP / 4] = epoch;
      i32[at + CELL_SLOT / 4] = slot;
      i32[at + CELL_NEED / 4] = needs[id]!;
      i32[at + CELL_OP / 4] = this.u16[record >> 1]!;
      i32[at + CELL_PC / 4] = va | 0;
      i32[at + CELL_PC / 4 + 1] = Math.floor(va / TWO32);
      i32[at + CELL_ENTRY / 4] = n << DEPTH_BITS;
      this.u16[(record >> 3) + ENTRY_OF_BIAS >> 1] = cell;
      this.u16[record >> 1] = OP_ENTER;
      this.ofCell[cell] = t;
      t.cells.push({ record, cell });
    });
    this.ageing.add(t);
    this.countPages(t, 1);
    for (const p of region.pages) {
      let set = this.byPage.get(p.ramPage);
      if (set === undefined) this.byPage.set(p.ramPage, (set = new Set()));
      set.add(t);
    }
  }

  drop(t: Translation): void {
    for (const { record, cell } of t.cells) {
      if (this.isEntry(record)) this.u16[record >> 1] = this.i32[(CELLS + cell * CELL + CELL_OP) >> 2]!;
      this.cool(record);
      this.i32[(CELLS + cell * CELL + CELL_STAMP) >> 2] = 0;
      this.ofCell[cell] = null;
    }
    for (const p of t.pages) {
      const set = this.byPage.get(p.ramPage);
      set?.delete(t);
      if (set?.size === 0) this.byPage.delete(p.ramPage);
    }
    this.table.set(t.slot, null);
    this.freeSlots.push(t.slot);
    this.countPages(t, -1);
    this.ageing.remove(t);
    this.modules.regionGone(t.module);
  }

  /** Begins to count the jumps to a record anew. */
  cool(record: number): void {
    this.u16[(record + REC_COUNT) >> 1] = 0;
  }

  /** What is in use now. */
  report() {
    const { all, modules } = this, sum = (of: (t: Translation) => number): number => all.reduce((n, t) => n + of(t), 0);
    return {
      regions: all.length, insns: sum((t) => t.insns), wasmBytes: modules.bytes, wasmMax: WASM_MAX, modules: modules.count, modulesMax: this.modulesMax,
      pinned: modules.pinned, cells: ENTRY_CELLS - this.freeCells.length, cellsMax: ENTRY_CELLS,
      slots: TABLE_SLOTS - this.freeSlots.length, slotsMax: TABLE_SLOTS, pages: this.byPage.size,
    };
  }
}
