// The engine: decides what is translated, and makes sure that none runs where it does not hold.
//
//   jumps counted by the interpreter ─► hot ─► queue ─► batch, step by step (batch.ts) ─► translations.ts
//   record of an entry: operation OP_ENTER ─► cell: stamp == EPOCH? pc? ─► the function        (interp.ts, core.ts)
//
// A translation holds while its virtual pages map to the RAM pages it was made from, and these have not been written.
//   - Written: pages with records tell of each store (codecache.ts); the regions over those bytes are dropped.
//   - Mapped: each translation context has an epoch, a number never used twice. A fence that may concern code gives its
//     contexts new ones. A cell whose stamp is not the current epoch is verified, page by page, before it is entered.
// Nothing of this needs a look at the wasm stack: whatever could change a mapping or code is the interpreter's work, and
// regions have all returned when it is done.
import type { CodeCache } from "../hart/codecache.ts";
import {
  CELL, CELL_ENTRY, CELL_NEED, CELL_SLOT, CELLS, CONTEXTS, EPOCH, LEFT, LOOP_SLOTS, PAGE_RECORDS, PAGE_SLOT_COUNT, PC,
  RAM_OFFSET, RECORD, REC_COUNT, TRANSLATED, X0,
} from "../hart/layout.ts";
import { OP_CROSS, OP_DECODE } from "../hart/ops.ts";
import type { Checker } from "./checker.ts";
import { Batch, type BatchHost, type CoreExports, type Entry } from "./batch.ts";
import { VERIFY_DONE } from "./core.ts";
import { hasFusedMadd } from "./features.ts";
import type { LiveModule } from "./modules.ts";
import { type CodeSource, discoverRegion, firstToTranslate, type HotPlace, type Region } from "./region.ts";
import type { HostBlock } from "./translate.ts";
import { type Translation, Translations } from "./translations.ts";
import { STANDARD, type Tuning } from "./tuning.ts";

/** What the engine asks of the hart's MMU. */
export interface CodeMap {
  /** RAM page that fetches from this virtual page use now, or -1; raises nothing. */
  codePage(pageVa: number): number;
}

export interface EngineParts {
  readonly memory: WebAssembly.Memory;
  readonly hartBlock: number;
  /** Of TABLE_SLOTS functions. */
  readonly table: WebAssembly.Table;
  readonly code: CodeCache;
  readonly map: CodeMap;
  /** Runs each region beside the interpreter; see checker.ts. */
  readonly checker: Checker | null;
  readonly tuning?: Partial<Tuning> | undefined;
}

/** A place that has become hot, and the RAM page that it was on then. */
interface Hot extends HotPlace { readonly va: number; readonly ramPage: number }

/** Milliseconds of translating at once, and the step that began before: one takes less than this when warm, 1.5 while all is cold. */
const PAUSE_MS = 0.5;
/** A batch is given up when it could not go on so many times. */
const WAITS_MAX = 200;
/** The queue is worked off within the interpreter's run when it is as long as this. */
const QUEUE_FULL = 8;
const REFUSALS_MAX = 12;
/** Records of which isWithin keeps count. */
const PASSED_MAX = 10_000;
/** Jumps that make an address a likely target: cold exits count one where they come back. */
const TARGET_JUMPS = 4;
const TWO32 = 4294967296, SP = 2;

export class Engine implements CodeSource, BatchHost {
  readonly table: WebAssembly.Table;
  readonly stats = {
    regions: 0, translatedInsns: 0, wasmBytes: 0, modules: 0, abandoned: 0, drops: 0, evictions: 0, flushes: 0, verified: 0, refused: 0, compileMs: 0, longestMs: 0,
  };
  /**
   * The host's clock in milliseconds: ends a stretch of translating, and counts compileMs and longestMs (how long the guest waited,
   * in all and at most at once). Who runs the machine sets it.
   */
  hostMs: () => number = () => 0;
  readonly tuning: Tuning;
  readonly checker: Checker | null;
  private random = 1;
  readonly memory: WebAssembly.Memory;
  private readonly block: number;
  private readonly code: CodeCache;
  private readonly map: CodeMap;
  private readonly u16: Uint16Array;
  private readonly i32: Int32Array;
  private readonly i64: BigInt64Array;
  readonly host: Pick<HostBlock, "hart" | "fusedMadd" | "tuning">;
  private exports: CoreExports | null = null;
  private batch: Batch | null = null;
  private readonly queue: Hot[] = [];
  private readonly translations: Translations;
  /** By record, how often isWithin let it pass. */
  private readonly passed = new Map<number, number>();
  private readonly epochs = new Int32Array(CONTEXTS);
  private lastEpoch = 0;
  private context = 0;
  private lastPageSlot = LOOP_SLOTS - 1;

  constructor(parts: EngineParts) {
    this.tuning = { ...STANDARD, ...parts.tuning };
    this.checker = parts.checker;
    this.table = parts.table;
    this.memory = parts.memory;
    this.block = parts.hartBlock;
    this.host = { hart: parts.hartBlock, fusedMadd: hasFusedMadd(), tuning: this.tuning };
    this.code = parts.code;
    this.map = parts.map;
    this.u16 = new Uint16Array(parts.memory.buffer);
    this.i32 = new Int32Array(parts.memory.buffer);
    this.i64 = new BigInt64Array(parts.memory.buffer);
    this.translations = new Translations(parts.memory, parts.code, parts.table, this.tuning.modules);
    for (let i = 0; i < CONTEXTS; i++) this.epochs[i] = ++this.lastEpoch;
    this.code.onCodeStore = (ramPage, from, to) => this.written(ramPage, from, to);
    this.code.isTranslated = (ramPage) => this.translations.isOn(ramPage);
  }

  /** The core's module is there. Nothing is hot before it runs. */
  connect(core: CoreExports): void {
    this.exports = core;
  }

  get core(): CoreExports {
    if (this.exports === null) throw new Error("jit: something is hot before the core is connected");
    return this.exports;
  }

  // ---- epochs ----

  /** Fetches go by another context now. */
  setContext(context: number): void {
    this.context = context;
    this.i32[(this.block + EPOCH) >> 2] = this.epochs[context]!;
  }

  /** A context forgot translations: what was verified in it is not any more. */
  renew(context: number): void {
    this.epochs[context] = ++this.lastEpoch;
    if (context === this.context) this.setContext(context);
  }

  /** A page was fenced; `level` is that of the largest page around it that the context has cached. */
  fenced(context: number, va: number, level: number): void {
    if ((level !== 0 && level !== 1) || this.translations.holdsCode(va, level)) this.renew(context);
  }

  // ---- what the core calls ----

  /** The code at pc has become hot. */
  hot(): void {
    const va = this.pc(), ramPage = this.pageAt(va);
    if (ramPage < 0) return;
    this.queue.push({ va, ramPage, leavesLoops: false, stackPlace: this.i32[(this.block + X0 + 8 * SP) >> 2]! & 4095 });
    if (this.queue.length >= QUEUE_FULL) this.work();
  }

  /** Whether the entry at a record may be entered at pc: its cell is stamped then. */
  verify(record: number): number {
    const { translations } = this, cell = translations.cellOf(record), t = translations.of(cell);
    if (translations.pcOf(cell) === this.pc() && this.holds(t)) {
      translations.used(t);
      if (this.checker !== null) return this.checked(cell, t, this.checker);
      translations.stamp(t, this.epochs[this.context]!);
      this.stats.verified++;
      t.refusals = 0;
      return 1;
    }
    this.stats.refused++;
    if (++t.refusals < REFUSALS_MAX) return 0;
    // Code that is here to stay is translated as it is mapped here.
    this.drop(t);
    this.hot();
    return 0;
  }

  /** Whether a translation's pages are mapped as they were. */
  private holds(t: Pick<Region, "pages">): boolean {
    for (const p of t.pages) if (this.map.codePage(p.va) !== p.ramPage) return false;
    return true;
  }

  /** Runs a region both ways, if the budget lets it begin. => 2: it ran, go on at pc; 0: the interpreter goes on */
  private checked(cell: number, t: Translation, checker: Checker): number {
    const left = this.i32[(this.block + LEFT) >> 2]!, need = this.i32[(CELLS + cell * CELL + CELL_NEED) >> 2]!;
    if (left < need) return 0;
    const done = checker.run(cell, `region at 0x${t.va.toString(16)}, entered at 0x${this.pc().toString(16)}`);
    this.i64[(this.block + TRANSLATED) >> 3]! += BigInt(done);
    return done > 0 ? VERIFY_DONE : 0;
  }

  // ---- translating ----

  /** Goes on translating what is hot, for no longer than the guest can wait; without a clock, until the batch is done. */
  work(): void {
    if (this.tuning.drop > 0) this.dropAtRandom();
    if (!this.isWaiting) return;
    const began = this.hostMs();
    this.batch ??= this.begin();
    if (this.isReady(this.batch)) {
      let steps = 0;
      do this.advance(this.batch);
      while (this.batch !== null && ++steps !== this.tuning.steps && this.hostMs() - began < PAUSE_MS);
    }
    this.took(this.hostMs() - began);
  }

  /** Whether something hot waits to be translated. */
  get isWaiting(): boolean {
    return this.batch !== null || this.queue.length > 0;
  }

  private begin(): Batch {
    this.translations.makeRoom((t) => {
      this.drop(t);
      this.stats.evictions++;
    });
    if (this.passed.size > PASSED_MAX) this.passed.clear();
    return new Batch(this);
  }

  /** Whether the code of a batch is mapped. One that waits for too long is given up: its process may be gone. */
  private isReady(batch: Batch): boolean {
    if (batch.regions.every((r) => this.holds(r))) return true;
    if (++batch.waits > WAITS_MAX) this.abandon(batch);
    return false;
  }

  /** Does one step of the batch. Code that changed under it becomes hot again, and is translated as it is then. */
  private advance(batch: Batch): void {
    const step = batch.steps.next();
    if (batch.isVoid) return this.abandon(batch);
    if (step.done !== true) return;
    this.batch = null;
    if (step.value.length === 0) return;
    this.stats.modules++;
    const regions = step.value.length, bytes = step.value.reduce((n, b) => n + b.wasmBytes, 0);
    const module = this.translations.modules.add({ bytes, cells: batch.cells, imports: [...batch.held], regions });
    // A cell that is checked at each entry is never stamped.
    const epoch = this.checker !== null ? 0 : this.epochs[this.context]!;
    for (const built of step.value) {
      this.translations.install(built, module, epoch, (va) => this.recordOf(va));
      this.stats.regions++;
      this.stats.wasmBytes += built.wasmBytes;
      this.stats.translatedInsns += built.region.insnCount;
    }
  }

  private abandon(batch: Batch): void {
    this.stats.abandoned++;
    this.discard(batch);
    for (const r of batch.regions) this.coolPlace(r.entryVa, this.pageAt(r.entryVa));
  }

  private discard({ cells, held }: Batch): void {
    this.batch = null;
    this.translations.giveBack(cells);
    for (const m of held) this.translations.modules.letGo(m);
  }

  private took(ms: number): void {
    this.stats.compileMs += ms;
    this.stats.longestMs = Math.max(this.stats.longestMs, ms);
  }

  nextRegion(batch: Batch): Region | null | undefined {
    const place = this.queue.shift();
    if (place === undefined) return undefined;
    // Another process runs: the place becomes hot again with its own.
    if (this.pageAt(place.va) !== place.ramPage) {
      this.coolPlace(place.va, place.ramPage);
      return null;
    }
    const va = firstToTranslate(place.va, this, this.tuning);
    if (batch.regions.some((r) => r.blocks.some((b) => b.va === va)) || this.isEntry(va) || this.isWithin(va)) return null;
    const region = discoverRegion(va, this, this.tuning, place);
    // V8 optimizes small functions soon and well, large ones late and badly: a large one leaves loops to the regions that they have.
    if (region !== null && region.insnCount > this.tuning.whole && !place.leavesLoops) {
      this.queue.unshift({ ...place, leavesLoops: true });
      return null;
    }
    // From here on stores to these pages are told.
    if (region !== null) for (const p of region.pages) this.code.recordsOf(p.ramPage);
    return region;
  }

  private coolPlace(va: number, ramPage: number): void {
    if (ramPage >= 0 && this.code.hasRecords(ramPage)) this.translations.cool(this.code.recordsOf(ramPage) + (va - Math.floor(va / 4096) * 4096) * (RECORD / 2));
  }

  private isEntry(va: number): boolean {
    const record = this.recordOf(va);
    return record < 0 || this.translations.isEntry(record);
  }

  /**
   * Whether a region holds the code at an address that is none of its entries: the interpreter soon comes to one. When it does
   * not, the place is hot again, and gets a region of its own in the end. Each end of a slice is such a place.
   */
  private isWithin(va: number): boolean {
    const record = this.recordOf(va), times = this.passed.get(record) ?? 0;
    if (times >= this.tuning.passes) return false;
    for (const t of this.translations.on(this.code.ramOffsetOf(record) >>> 12)) {
      if (!t.code.has(va) || !this.holds(t)) continue;
      this.passed.set(record, times + 1);
      this.translations.cool(record);
      return true;
    }
    return false;
  }

  entryAt(va: number): Entry | null {
    const { translations } = this, cell = translations.entryFor(this.recordOf(va), va);
    if (cell < 0) return null;
    const at = this.cellAt(cell), f = this.table.get(this.i32[(at + CELL_SLOT) >> 2]!) as WebAssembly.ExportValue;
    return { f, cellAt: at, entry: this.i32[(at + CELL_ENTRY) >> 2]!, module: translations.of(cell).module };
  }

  hold(module: LiveModule): void {
    this.translations.modules.hold(module);
  }

  takeCell(): number {
    return this.translations.takeCell();
  }

  takePageSlot(): number {
    this.lastPageSlot = this.lastPageSlot + 1 < PAGE_SLOT_COUNT ? this.lastPageSlot + 1 : LOOP_SLOTS;
    return this.lastPageSlot;
  }

  cellAt(cell: number): number {
    return this.translations.cellAt(cell);
  }

  // ---- dropping ----

  /** Bytes of a RAM page are about to change. */
  private written(ramPage: number, from: number, to: number): void {
    this.batch?.touch(ramPage, from, to);
    const there = this.translations.on(ramPage);
    for (const t of [...there]) if (t.pages.some((p) => p.ramPage === ramPage && p.lo < to && p.hi > from)) this.drop(t);
  }

  private drop(t: Translation): void {
    this.translations.drop(t);
    this.stats.drops++;
  }

  private dropAtRandom(): void {
    this.random = (Math.imul(this.random, 1103515245) + 12345) & 0x7fffffff;
    const n = this.random >>> 8;
    if (n % this.tuning.drop !== 0 || this.translations.count === 0) return;
    const { all } = this.translations;
    if (n % 7 === 0) this.flush();
    else this.drop(all[n % all.length]!);
  }

  /** Forgets every translation. */
  flush(): void {
    if (this.batch !== null) this.discard(this.batch);
    for (const t of this.translations.all) this.drop(t);
    this.passed.clear();
    this.stats.flushes++;
  }

  // ---- CodeSource ----

  codePage(pageVa: number): number {
    const ramPage = this.map.codePage(pageVa);
    return ramPage >= 0 && this.code.guarded[ramPage] === 0 ? ramPage : -1;
  }

  half(ramPage: number, offset: number): number {
    return this.u16[(RAM_OFFSET + ramPage * 4096 + offset) >> 1]!;
  }

  hasRun(ramPage: number, offset: number): boolean {
    return this.code.hasRecords(ramPage) && this.u16[(this.code.recordsOf(ramPage) + offset * (RECORD / 2)) >> 1] !== OP_DECODE;
  }

  exitsOf(va: number): readonly number[] | null {
    const cell = this.translations.entryFor(this.recordOf(va), va);
    return cell < 0 ? null : this.translations.of(cell).exits;
  }

  targets(ramPage: number): readonly number[] {
    const found: number[] = [];
    if (!this.code.hasRecords(ramPage)) return found;
    const first = this.code.recordsOf(ramPage) + REC_COUNT;
    for (let i = 0; i < PAGE_RECORDS; i++) if (this.u16[(first + i * RECORD) >> 1]! >= TARGET_JUMPS) found.push(i * 2);
    return found;
  }

  // ---- questions ----

  /** Counts from the start: `stats`, and how many instructions retired in translated code. => not in the middle of a slice */
  counts() {
    return { ...this.stats, translatedRetired: Number(this.i64[(this.block + TRANSLATED) >> 3]!) };
  }

  /** What is in use now. */
  report() {
    return { ...this.translations.report(), queued: this.queue.length, hotJumps: this.tuning.hot };
  }

  /** Whether a region that holds here reaches over an address of the code that is mapped now. */
  covers(va: number): boolean {
    const pageVa = Math.floor(va / 4096) * 4096, ramPage = this.map.codePage(pageVa), offset = va - pageVa;
    for (const t of this.translations.on(ramPage)) if (t.pages.some((p) => p.va === pageVa && p.ramPage === ramPage && offset >= p.lo && offset < p.hi)) return true;
    return false;
  }

  // ---- inside ----

  /** RAM page of the code at an address now, or -1. */
  private pageAt(va: number): number {
    return this.map.codePage(Math.floor(va / 4096) * 4096);
  }

  private pc(): number {
    const at = (this.block + PC) >> 2;
    return this.i32[at + 1]! * TWO32 + (this.i32[at]! >>> 0);
  }

  /** The record of an instruction of a region, ready to be interpreted; -1 of one across two pages, which is decoded each time. */
  decoded(va: number): number {
    const record = this.recordOf(va);
    if (record < 0) throw new Error(`jit: the code at 0x${va.toString(16)} went away while it was translated`);
    if (this.u16[record >> 1] === OP_DECODE) this.code.decodeAt(record);
    return this.u16[record >> 1] === OP_CROSS ? -1 : record;
  }

  /** The record of an address that is mapped now, or -1. */
  private recordOf(va: number): number {
    const pageVa = Math.floor(va / 4096) * 4096, ramPage = this.map.codePage(pageVa);
    return ramPage < 0 ? -1 : this.code.recordsOf(ramPage) + ((va - pageVa) / 2) * RECORD;
  }
}
