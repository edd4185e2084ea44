// The translations that there are: which function stands for which code, and where it may be entered.
//
//   record of an entry, operation OP_ENTER ─ENTRY_OF─► cell { stamp, slot, need, op, pc, entry } ─slot─► function in the table
//   RAM page ─byPage─► translations whose code lies on it
//
// A cell keeps the operation that its record had. Cells of dropped translations are not used again before the next flush: callers
// may still look at their stamps. Whether a translation holds in an address space is the engine's matter.
import type { CodeCache } from "../hart/codecache.ts";
import {
  CELL, CELL_ENTRY, CELL_NEED, CELL_OP, CELL_PC, CELL_SLOT, CELL_STAMP, CELLS, ENTRY_CELLS, ENTRY_OF_BIAS, PROFILE_BIAS,
} from "../hart/layout.ts";
import { OP_DECODE, OP_ENTER } from "../hart/ops.ts";
import type { Built } from "./batch.ts";
import { DEPTH_BITS, TABLE_SLOTS } from "./core.ts";
import type { Region } from "./region.ts";

/** A region that was translated. */
export interface Translation {
  readonly va: number;
  readonly insns: number;
  readonly wasmBytes: number;
  readonly slot: number;
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
const TWO32 = 4294967296;

/** Numbers of pages, cut to 32 bits: sets find those fast, and two pages that share one are fenced together. */
const pageKey = (va: number): number => Math.floor(va / 4096) | 0, megaKey = (va: number): number => Math.floor(va / 0x200000) | 0;

export class Translations {
  private readonly code: CodeCache;
  private readonly table: WebAssembly.Table;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  readonly all = new Set<Translation>();
  /** By cell, as far as cells were taken. */
  private readonly ofCell: (Translation | null)[] = [];
  private readonly byPage = new Map<number, Set<Translation>>();
  /** Cells and slots that were given back; those from `nextCell` and `nextSlot` on were never taken. */
  private readonly freeCells: number[] = [];
  private readonly freeSlots: number[] = [];
  private nextCell = 0;
  private nextSlot = 0;
  // Virtual pages that hold translated code, also by what larger pages they lie in.
  private readonly pageVas = new Set<number>();
  private readonly megaVas = new Set<number>();

  constructor(memory: WebAssembly.Memory, code: CodeCache, table: WebAssembly.Table) {
    this.code = code;
    this.table = table;
    this.u16 = new Uint16Array(memory.buffer);
    this.i32 = new Int32Array(memory.buffer);
  }

  // ---- cells ----

  /** Whether there is room for another batch; without, everything is flushed. */
  get hasRoom(): boolean {
    return this.slotsLeft >= SLOTS_RESERVE && this.cellsLeft >= CELLS_RESERVE;
  }

  private get cellsLeft(): number {
    return this.freeCells.length + ENTRY_CELLS - this.nextCell;
  }

  private get slotsLeft(): number {
    return this.freeSlots.length + TABLE_SLOTS - this.nextSlot;
  }

  takeCell(): number {
    const cell = this.freeCells.pop();
    if (cell !== undefined) return cell;
    if (this.nextCell === this.ofCell.length) this.ofCell.push(null);
    return this.nextCell++;
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

  /** Whether the page of a level (0: 4 KiB, 1: 2 MiB) around an address held translated code since the last flush. */
  mayHold(va: number, level: number): boolean {
    return level === 1 ? this.megaVas.has(megaKey(va)) : this.pageVas.has(pageKey(va));
  }

  // ---- in and out ----

  /** Puts a function into the table, and its entries in place. => recordOf: the record of an address that is mapped now, or -1 */
  install({ region, firstCell, needs, f, wasmBytes }: Built, epoch: number, recordOf: (va: number) => number): void {
    const slot = this.freeSlots.pop() ?? this.nextSlot++, code = new Set(region.blocks.flatMap((b) => b.insns.map((insn) => insn.va)));
    const t: Translation = { va: region.entryVa, insns: region.insnCount, wasmBytes, slot, pages: region.pages, cells: [], code, exits: region.exits, refusals: 0 };
    this.table.set(slot, f);
    region.entries.forEach((id, n) => {
      const { va } = region.blocks[id]!, record = recordOf(va);
      // Another region's entry stays: both are right.
      if (record < 0 || this.isEntry(record)) return;
      if (this.u16[record >> 1] === OP_DECODE) this.code.decodeAt(record);
      const cell = n === 0 ? firstCell : this.takeCell(), at = this.cellAt(cell) >> 2, { i32 } = this;
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
    this.all.add(t);
    for (const p of region.pages) {
      let set = this.byPage.get(p.ramPage);
      if (set === undefined) this.byPage.set(p.ramPage, (set = new Set()));
      set.add(t);
      this.pageVas.add(pageKey(p.va));
      this.megaVas.add(megaKey(p.va));
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
    this.all.delete(t);
  }

  /** Begins to count the jumps to a record anew. */
  cool(record: number): void {
    this.u16[(record >> 3) + PROFILE_BIAS >> 1] = 0;
  }

  /** Forgets that cells were ever used. => everything was dropped */
  renew(): void {
    this.freeCells.length = this.nextCell = 0;
    this.pageVas.clear();
    this.megaVas.clear();
  }

  /** What is in use now. */
  report() {
    const all = [...this.all], sum = (of: (t: Translation) => number): number => all.reduce((n, t) => n + of(t), 0);
    return {
      regions: all.length, insns: sum((t) => t.insns), wasmBytes: sum((t) => t.wasmBytes), cells: ENTRY_CELLS - this.cellsLeft, cellsMax: ENTRY_CELLS,
      slots: TABLE_SLOTS - this.slotsLeft, slotsMax: TABLE_SLOTS, pages: this.byPage.size,
    };
  }
}
