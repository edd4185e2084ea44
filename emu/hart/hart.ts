// One hart: its registers in machine memory, the generated interpreter, and the loop around it.
//
//   run(budget) ─► privileged.before() ─► wasm run(left) ─► budget | trap | leave ─► privileged.trapped() ─► ...
//                                             │ cold calls: TLB miss, CSR, decode, exact floating point
//
// What traps, interrupts and translation mean is the privileged part's matter (privileged.ts); decoding and floating point
// are done here.
import { CodeCache } from "./codecache.ts";
import { CAUSE_ILLEGAL, type Cold } from "./cold.ts";
import { ColdFloat, FloatFields } from "./coldfloat.ts";
import { interpreterModule, RUN_TRAP } from "./interp.ts";
import type { Engine } from "../jit/engine.ts";
import { hasFusedMadd } from "../jit/features.ts";
import { F0, HART_BASE, HART_STRIDE, IP, LEFT, memoryBytes, PC, RESERVATION, X0 } from "./layout.ts";

/** Why Hart.run returned. */
export const STOP_BUDGET = 0, STOP_TRAP = 1, STOP_INTERRUPT = 2, STOP_HALT = 3, STOP_WFI = 4;
/** Answers of the privileged part: go on running, or one of STOP_*. */
export const GO_ON = -1;

/** Traps, interrupts, CSRs and translation. */
export interface Privileged extends Cold {
  /** Before guest code runs: takes a pending interrupt. => GO_ON or STOP_* */
  before(): number;
  /** Translated code missed the data TLB. => host offset of the bytes, or 0: the interpreter does the instruction */
  regionMiss(kind: number): number;
  /** After an exception was raised: enters the handler. => GO_ON, or STOP_TRAP when a hosted supervisor wants it */
  trapped(): number;
}

const TWO32 = 4294967296;
/** Traps in a row without an instruction between them; each mode's handler may fail once on the way. */
const BARREN_TRAPS_MAX = 4;
/** Instructions for one call of generated code. V8 replaces slow code by fast only at a call. */
const SLICE = 1 << 18;
/** The same while hot code waits for the next batch of translation. */
const SLICE_WAITING = 1 << 14;

/** The memory of a machine: see layout.ts. */
export function newMemory(ramBytes: number): WebAssembly.Memory {
  const pages = Math.ceil(memoryBytes(ramBytes) / 65536);
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}

export class Hart {
  readonly id: number;
  readonly memory: WebAssembly.Memory;
  /** x registers: r's low word at [2r], its high word at [2r + 1]. The same bytes as 64-bit numbers in x64. */
  readonly x: Int32Array;
  readonly x64: BigInt64Array;
  /** f registers, in the same two shapes. */
  readonly f: Int32Array;
  readonly f64bits: BigInt64Array;
  readonly float: FloatFields;
  readonly code: CodeCache;
  /** The exception of the last STOP_TRAP; tval as two halves. */
  cause = 0;
  tvalLo = 0;
  tvalHi = 0;
  private readonly words: Int32Array;
  private readonly block: number;
  private readonly coldFloat: ColdFloat;
  private privileged: Privileged | null = null;
  /** Translates hot code, or null: everything is interpreted. */
  engine: Engine | null = null;
  private wasmRun: ((left: number) => number) | null = null;
  // The call of generated code under way: its budget, and what leaveSoon took away from the instructions left.
  /** Guest code runs: this is a cold call. */
  running = false;
  private budget = 0;
  private held = 0;
  private retired = 0;

  constructor(memory: WebAssembly.Memory, ramBytes: number, id = 0) {
    const buffer = memory.buffer;
    this.id = id;
    this.memory = memory;
    this.block = HART_BASE + id * HART_STRIDE;
    this.words = new Int32Array(buffer, this.block, HART_STRIDE / 4);
    this.x = new Int32Array(buffer, this.block + X0, 64);
    this.x64 = new BigInt64Array(buffer, this.block + X0, 32);
    this.f = new Int32Array(buffer, this.block + F0, 64);
    this.f64bits = new BigInt64Array(buffer, this.block + F0, 32);
    this.float = new FloatFields(buffer, this.block);
    this.coldFloat = new ColdFloat(buffer, this.block, this.float);
    this.code = new CodeCache(buffer, ramBytes);
  }

  /** Connects the privileged part and makes the interpreter; with an engine, what it needs too. => called once, before run */
  attach(privileged: Privileged, engine: Engine | null = null): void {
    this.privileged = privileged;
    this.engine = engine;
    const options = { jit: engine !== null, hotJumps: engine?.tuning.hot ?? 0, fusedMadd: engine?.host.fusedMadd ?? hasFusedMadd() };
    const bytes = interpreterModule(this.block, this.memory.buffer.byteLength / 65536, options);
    const translator = engine === null ? {} : {
      table: engine.table, regionMiss: (kind: number) => privileged.regionMiss(kind), hot: () => engine.hot(),
      verify: (record: number) => engine.verify(record), regionFloat: (op: number, record: number) => (this.coldFloat.perform(op, record) ? 0 : 1),
    };
    const env = {
      ...translator,
      memory: this.memory,
      dataMiss: (kind: number) => privileged.dataMiss(kind),
      fetchMiss: () => privileged.fetchMiss(),
      system: (insn: number, lenBytes: number) => privileged.system(insn, lenBytes),
      decode: (record: number) => this.code.decodeAt(record),
      cross: (record: number) => this.cross(record),
      illegal: () => this.illegal(),
      raise: (cause: number, lo: number, hi: number) => privileged.raise(cause, lo, hi),
      coldFloat: (op: number) => this.floatCold(op),
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes as BufferSource), { env });
    this.wasmRun = instance.exports["run"] as (left: number) => number;
    const core = (name: string): WebAssembly.ExportValue => instance.exports[name]!;
    if (engine !== null) engine.connect({ go: core("go"), miss: core("miss"), stop: core("stop"), float: core("float") });
    if (engine?.checker) engine.checker.exact = instance.exports["exact"] as (left: number, stop: number) => number;
  }

  private cross(record: number): number {
    const next = this.privileged!.fetchSecond();
    return next < 0 ? -1 : this.code.crossAt(record, next);
  }

  /** Illegal instruction: tval is its bits. */
  illegal(): void {
    const insn = this.code.insnAt(this.words[IP / 4]!, () => this.privileged!.fetchSecond());
    this.privileged!.raise(CAUSE_ILLEGAL, insn, 0);
  }

  private floatCold(op: number): number {
    if (this.coldFloat.perform(op, this.words[IP / 4]!)) return 0;
    this.illegal();
    return 1;
  }

  /**
   * Runs guest code. => exactly `budget` instructions retired, unless it stopped before; budget below 2^30
   * => STOP_*; after STOP_TRAP pc is the faulting instruction, cause and tval say why
   */
  run(budget: number): number {
    const privileged = this.privileged!;
    let left = budget, stop: number, barren = 0;
    for (;;) {
      stop = privileged.before();
      if (stop !== GO_ON) break;
      if (left === 0) {
        stop = STOP_BUDGET;
        break;
      }
      const most = this.engine?.isWaiting ? SLICE_WAITING : SLICE, slice = left < most ? left : most;
      this.words[LEFT / 4] = this.budget = slice;
      this.running = true;
      const why = this.wasmRun!(slice);
      this.running = false;
      this.engine?.work();
      const done = slice - this.words[LEFT / 4]! - this.held;
      this.held = 0;
      this.retired += done;
      left -= done;
      if (why !== RUN_TRAP) continue;
      stop = privileged.trapped();
      if (stop !== GO_ON) break;
      // A handler whose first instruction traps into itself changes nothing for ever: only an interrupt can help, so it waits.
      barren = done === 0 ? barren + 1 : 0;
      if (barren > BARREN_TRAPS_MAX) {
        stop = STOP_WFI;
        break;
      }
    }
    return stop;
  }

  /** Retired instructions. In a cold call: those before the one that calls. */
  get instret(): number {
    return this.running ? this.retired + this.budget - this.held - this.words[LEFT / 4]! - 1 : this.retired;
  }

  /** In a cold call: run() shall look at interrupts again after the instruction under way. */
  leaveSoon(): void {
    if (!this.running) return;
    this.held += this.words[LEFT / 4]!;
    this.words[LEFT / 4] = 0;
  }

  get pcLo(): number { return this.words[PC / 4]!; }
  set pcLo(v: number) { this.words[PC / 4] = v; }
  get pcHi(): number { return this.words[PC / 4 + 1]!; }
  set pcHi(v: number) { this.words[PC / 4 + 1] = v; }

  /** The program counter as a signed number: exact for canonical addresses. */
  get pc(): number {
    return this.pcHi * TWO32 + (this.pcLo >>> 0);
  }

  set pc(v: number) {
    this.pcLo = v | 0;
    this.pcHi = Math.floor(v / TWO32) | 0;
  }

  /** tval as a signed number: exact for canonical addresses. */
  get tval(): number {
    return this.tvalHi * TWO32 + (this.tvalLo >>> 0);
  }

  /** Register r as a signed number: exact below 2^53. */
  reg(r: number): number {
    return this.x[2 * r + 1]! * TWO32 + (this.x[2 * r]! >>> 0);
  }

  setReg(r: number, v: number): void {
    this.x[2 * r] = v | 0;
    this.x[2 * r + 1] = Math.floor(v / TWO32) | 0;
  }

  /** Ends a load reservation: traps, returns from them and switches of address space do. */
  clearReservation(): void {
    this.words[RESERVATION / 4] = 0;
  }

  /** A word of the hart's block. */
  field(offset: number): number {
    return this.words[offset / 4]!;
  }

  setField(offset: number, v: number): void {
    this.words[offset / 4] = v;
  }
}

