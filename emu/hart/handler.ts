// The dynamic context: writes the handler of one operation, whose operands come from the record at `ip`.
//
// Two functions are made of the same rows (interp.ts). The fast one makes no calls: where it would need TypeScript it
// leaves for $cold, and the exact one runs that one instruction again. What differs between them is abstract here.
//
// V8 computes an expression of locals alone, that several handlers share, once before each dispatch, and keeps it. So what
// handlers share stands behind a label, and what differs by instruction is loaded from the record.
import type { Builder, FloatSource, Source, V } from "../isa/builder.ts";
import { type Emitter, F64, I32, I64, type MemoryOp, sizeOf, type WasmType } from "../jit/wasm.ts";
import { CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED, KIND_LOAD, KIND_LR } from "./cold.ts";
import {
  DATA_ENTRIES, DATA_ENTRY, FS, HOST_PAGE, HOT_FLAG, PAGE_RECORD_BYTES, RECORD, REC_COUNT, REC_EXTRA, REC_IMM, REC_PLACE, REC_RD, REC_RS1, REC_RS2, REC_RS3, TAG_READ,
  TAG_WRITE,
} from "./layout.ts";
import { type LocalPool, WasmBuilder } from "./wasmbuilder.ts";

/** Labels, by how far they are from where a handler stands; see interp.ts. */
export const TO_AGAIN = 0, TO_NEXT2 = 1, TO_NEXT4 = 2, TO_TOP = 3, TO_OFF = 4, TO_COLD = 5, TO_FETCH = 6, TO_EXIT = 7;

/** Local variables of both functions. */
export interface Locals {
  ip: number; page: number; pageVa: number; left: number; bank: number; npc: number; why: number; answer: number; operation: number;
  /** Counts jumps for the translator when it is there, else -1. */
  count: number;
  /** The module's function for a slow access. */
  slow: number;
  /** How many jumps make a record hot: the translator is worth its time then. */
  hotJumps: number;
  /** The host fuses multiplication and addition. */
  fusedMadd: boolean;
}

const FLOAT_OFFSETS: Record<FloatSource, number> = { fs1: REC_RS1, fs2: REC_RS2, fs3: REC_RS3 };

/** Locals of a look into the TLB. */
export interface Look { readonly ea: number; readonly entry: number; readonly inPage: number }

export abstract class Handler extends WasmBuilder implements Builder {
  protected readonly l: Locals;
  /** Labels between the handler's begin and $again. */
  private readonly outer: number;
  protected readonly lenBytes: 2 | 4;
  /** The handler's end cannot be reached. */
  protected ended = false;

  constructor(e: Emitter, hart: number, locals: Locals, pool: LocalPool, outer: number, lenBytes: 2 | 4) {
    super(e, hart, pool, locals.fusedMadd);
    this.l = locals;
    this.outer = outer;
    this.lenBytes = lenBytes;
    pool.reset();
  }

  /** Labels between here and $again. */
  protected get depth(): number {
    return this.outer + this.nested;
  }

  // What the two functions do differently.
  /** Leaves the host offset of a checked access in a local. */
  protected abstract translate(addr: V, size: number, kind: number, tag: number): number;
  abstract store(op: MemoryOp, addr: V, value: V): void;
  protected abstract raise(cause: number, tval: V): void;
  abstract illegal(): void;
  abstract system(): void;
  abstract coldFloat(op: number): void;
  abstract decode(): void;
  abstract cross(): void;
  abstract enter(): void;

  /** Goes on behind the instruction. */
  finish(): void {
    if (!this.ended) this.to(this.lenBytes === 2 ? TO_NEXT2 : TO_NEXT4);
  }

  /** Goes on to the second instruction of a pair, whose handler follows: as $next4 and $top do. */
  goOn(): void {
    const { e, l } = this;
    e.get(l.left).op("i32.eqz");
    e.hint(false);
    e.brIf(this.depth + (this.lenBytes === 2 ? TO_NEXT2 : TO_NEXT4));
    e.get(l.left).i32(1).op("i32.sub").set(l.left).get(l.ip).i32((this.lenBytes / 2) * RECORD).op("i32.add").set(l.ip);
  }

  /** Branches to a label, from inside `extra` more blocks. */
  protected to(label: number, extra = 0): void {
    this.e.br(this.depth + label + extra);
  }

  private recordField(e: Emitter, offset: number): Emitter {
    return e.get(this.l.ip).mem("i32.load16_u", offset);
  }

  private register(type: WasmType, op: MemoryOp, offset: number): V {
    return this.value(type, (e) => this.recordField(e, offset).mem(op, this.hart));
  }

  // ---- operands ----
  x(r: Source): V { return this.register(I64, "i64.load", r === "rs1" ? REC_RS1 : REC_RS2); }
  w(r: Source): V { return this.register(I32, "i32.load", r === "rs1" ? REC_RS1 : REC_RS2); }
  imm(): V { return this.value(I64, (e) => e.get(this.l.ip).mem("i64.load32_s", REC_IMM)); }
  imm32(): V { return this.value(I32, (e) => e.get(this.l.ip).mem("i32.load", REC_IMM)); }
  pc(): V { return this.value(I64, (e) => e.get(this.l.pageVa).get(this.l.ip).mem("i64.load16_u", REC_PLACE).op("i64.add")); }
  next(): V { return this.op("i64.add", this.pc(), this.i64(BigInt(this.lenBytes))); }

  setX(v: V): void {
    this.recordField(this.e, REC_RD);
    this.put(v);
    this.e.mem("i64.store", this.hart);
  }

  setW(v: V): void { this.setX(this.op("i64.extend_i32_s", v)); }

  // ---- memory ----
  /** Emits the check of an address in the TLB. Leaves i32 1 for a hit; the locals hold address, entry, and how far behind the tag it lies. */
  protected look(addr: V, size: number, tag: number, { ea, entry, inPage }: Look): void {
    const { e, l } = this;
    this.put(addr);
    e.tee(ea).get(ea).i64(7n).op("i64.shr_u").op("i32.wrap_i64").i32((DATA_ENTRIES - 1) * DATA_ENTRY).op("i32.and").get(l.bank).op("i32.add").tee(entry);
    e.mem("i64.load", tag).op("i64.sub").tee(inPage).i64(BigInt(4096 - size)).op("i64.le_u");
  }

  protected takeLook(): Look {
    return { ea: this.pool.take(I64), entry: this.pool.take(I32), inPage: this.pool.take(I64) };
  }

  /** Emits the host offset of a hit. */
  protected hit({ entry, inPage }: Look): void {
    this.e.get(inPage).op("i32.wrap_i64").get(entry).mem("i32.load", HOST_PAGE).op("i32.add");
  }

  load(op: MemoryOp, addr: V): V {
    const place = this.translate(addr, sizeOf(op), KIND_LOAD, TAG_READ);
    return this.value(I64, (e) => e.get(place).mem(op, 0));
  }

  place(addr: V, sizeBytes: 4 | 8, kind: number): V {
    const ea = this.let(addr), misaligned = kind === KIND_LR ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED;
    this.when(this.op("i32.and", this.op("i32.wrap_i64", ea), this.i32(sizeBytes - 1)), () => this.raise(misaligned, ea));
    const place = this.translate(ea, sizeBytes, kind, kind === KIND_LR ? TAG_READ : TAG_WRITE);
    return this.value(I32, (e) => e.get(place));
  }

  // ---- control ----
  branch(cond: V): void {
    this.put(cond);
    this.e.if();
    this.jumpBy(1, true);
    this.e.op("end");
  }

  jumpRelative(): void {
    this.jumpBy(0, false);
    this.ended = true;
  }

  /** Goes to the record `imm` away, or through the fetch TLB when that is on another page. Branches count backward only. */
  private jumpBy(extra: number, backwardOnly: boolean): void {
    const { e, l } = this;
    e.get(l.ip).get(l.ip).mem("i32.load", REC_IMM);
    if (l.count >= 0 && backwardOnly) e.tee(l.answer);
    e.op("i32.add").tee(l.ip).get(l.page).op("i32.sub").i32(PAGE_RECORD_BYTES).op("i32.lt_u");
    e.hint(true);
    if (l.count < 0) e.brIf(this.depth + TO_TOP + extra);
    else {
      e.if();
      if (backwardOnly) e.get(l.answer).i32(0).op("i32.ge_s").brIf(this.depth + TO_TOP + extra + 1);
      this.countJump(1 + extra);
      this.to(TO_TOP, 1 + extra);
      e.op("end");
    }
    this.to(TO_OFF, extra);
  }

  /** One jump more to the record at ip; when they are many, the translator is told before it runs. */
  private countJump(extra: number): void {
    const { e, l } = this;
    if (l.count < 0) return;
    emitCount(e, l);
    e.hint(false);
    e.if().i32(0).i32(1).mem("i32.store", this.hart + HOT_FLAG).get(l.left).i32(1).op("i32.sub").set(l.left);
    this.to(TO_COLD, 1 + extra);
    e.op("end");
  }

  jump(target: V): void {
    const { e, l } = this;
    this.put(target);
    e.i64(-2n).op("i64.and").tee(l.npc).get(l.pageVa).op("i64.xor").i64(4096n).op("i64.lt_u");
    e.hint(true);
    e.if();
    e.get(l.npc).op("i32.wrap_i64").i32(4095).op("i32.and").i32(3).op("i32.shl").get(l.page).op("i32.add").set(l.ip);
    this.countJump(1);
    this.to(TO_TOP, 1);
    e.op("end");
    this.to(TO_FETCH);
    this.ended = true;
  }

  csr(): null { return null; }

  trap(cause: number, tval: V): void {
    this.raise(cause, tval);
    this.ended = true;
  }

  // ---- floating point ----
  needFloat(): void {
    this.when(this.op("i32.eqz", this.field("i32.load", FS)), () => this.illegal());
  }

  fbits(r: FloatSource): V { return this.register(I64, "i64.load", FLOAT_OFFSETS[r]); }
  f64(r: FloatSource): V { return this.register(F64, "f64.load", FLOAT_OFFSETS[r]); }

  setF(bits: V): void {
    this.setX(bits);
    this.setField("i32.store", FS, this.i32(3));
  }

  fastRounding(): V { return this.value(I32, (e) => this.recordField(e, REC_EXTRA).mem("i32.load", this.hart)); }

  // ---- operations that are no instructions ----
  pageEnd(): void {
    this.e.get(this.l.left).i32(1).op("i32.add").set(this.l.left);
    this.to(TO_OFF);
    this.ended = true;
  }
}

/** Emits the count of the record at ip. Leaves i32 1 when it has just become hot. */
export function emitCount(e: Emitter, l: Locals): void {
  e.get(l.ip).get(l.ip).mem("i32.load16_u", REC_COUNT).i32(1).op("i32.add").tee(l.count).mem("i32.store16", REC_COUNT);
  e.get(l.count).i32(l.hotJumps).op("i32.eq");
}
