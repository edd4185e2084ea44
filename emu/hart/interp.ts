// The interpreter: WebAssembly generated from the instruction table at start-up.
//
//   block $exit
//     loop $fetch                      npc -> fetch TLB -> records of its page
//       loop $top                      one instruction: budget, operation
//         loop $again                  br_table over the operation; one block for each handler
//
// Locals hold the record pointer, the page and the instructions left; the pc is where the record pointer stands in its
// page. Each 32-bit row has a handler; rows that a 16-bit instruction expands to have a second one, because the length is a
// constant of the handler: a load there would be on the way from each instruction to the next.
import type { Builder, FloatSource, Source, V } from "../isa/builder.ts";
import { compressedRows } from "../isa/compressed.ts";
import { rowNamed, rows } from "../isa/table.ts";
import { Emitter, F64, I32, I64, type MemoryOp, ModuleBuilder, type Op, type WasmType } from "../jit/wasm.ts";
import { CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED, KIND_LOAD, KIND_LR, KIND_STORE, SLOW_DONE, SLOW_RETRY, SLOW_TRAP, SYS_JUMP, SYS_LEAVE, SYS_NEXT } from "./cold.ts";
import { emitFma } from "./fma.ts";
import {
  ADDEND, DATA_BANK, DATA_ENTRIES, DATA_ENTRY, FETCH_BANK, FETCH_ENTRIES, FETCH_ENTRY, FETCH_RECORDS, FFLAGS, FP_FAST_DYN, FP_FAST_RNE,
  FRM, FS, IP, LEFT, PAGE_RECORD_BYTES, PC, REC_EXTRA, REC_IMM, REC_OP, REC_RD, REC_RS1, REC_RS2, REC_RS3, SCRATCH_AT, SCRATCH_VA,
  SCRATCH_VALUE, TAG_READ, TAG_WRITE,
} from "./layout.ts";

/** Why run() returned. */
export const RUN_BUDGET = 0, RUN_TRAP = 1, RUN_LEAVE = 2;

/** Operations before the rows: not decoded yet; the end of the page; an instruction across two pages; illegal. */
export const OP_DECODE = 0, OP_PAGE_END = 1, OP_CROSS = 2, OP_ILLEGAL = 3, FIRST_ROW_OP = 4;

const shortBases = [...new Set(compressedRows.map((r) => rowNamed(r.base)))].sort((a, b) => a - b);
const shortOps = new Map(shortBases.map((row, i) => [row, FIRST_ROW_OP + rows.length + i]));
export const OP_COUNT = FIRST_ROW_OP + rows.length + shortBases.length;

/** The operation number of a decoded instruction. */
export function opNumber(row: number, lenBytes: 2 | 4): number {
  return lenBytes === 4 ? FIRST_ROW_OP + row : shortOps.get(row)!;
}

/** Functions of the module: imports first. */
const FN_DATA_MISS = 0, FN_FETCH_MISS = 1, FN_SYSTEM = 2, FN_DECODE = 3, FN_CROSS = 4, FN_ILLEGAL = 5, FN_RAISE = 6, FN_COLD_FLOAT = 7, FN_SLOW = 8, FN_FMA = 9;

// Locals of run().
const LEFT_ARG = 0;
const FLOAT_OFFSETS: Record<FloatSource, number> = { fs1: REC_RS1, fs2: REC_RS2, fs3: REC_RS3 };

/** The dynamic context: operands come from the record at `ip`. */
class Handler implements Builder {
  private readonly e: Emitter;
  private readonly hart: number;
  private readonly l: Locals;
  /** Labels between here and $again. */
  private depth: number;
  private readonly lenBytes: 2 | 4;
  private readonly pool: LocalPool;
  /** The handler's end cannot be reached. */
  private ended = false;

  constructor(e: Emitter, hart: number, locals: Locals, pool: LocalPool, depth: number, lenBytes: 2 | 4) {
    this.e = e;
    this.hart = hart;
    this.l = locals;
    this.pool = pool;
    this.depth = depth;
    this.lenBytes = lenBytes;
    pool.reset();
  }

  /** Goes on behind the instruction. */
  finish(): void {
    if (this.ended) return;
    this.e.get(this.l.ip).i32(this.lenBytes * 8).op("i32.add").set(this.l.ip);
    this.toTop();
  }

  private toTop(extra = 0): void {
    this.e.br(this.depth + 1 + extra);
  }

  private toFetch(extra = 0): void {
    this.e.br(this.depth + 2 + extra);
  }

  private exit(why: number, extra = 0): void {
    this.e.i32(why).set(this.l.why).br(this.depth + 3 + extra);
  }

  private put(v: V): void {
    this.e.raw(v.bytes);
  }

  /** Captures what `write` emits as a value. */
  private value(type: WasmType, write: (e: Emitter) => void): V {
    const e = new Emitter(0);
    write(e);
    return { type, bytes: e.bytes };
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
  pc(): V { return this.value(I64, (e) => this.address(e, 0)); }
  next(): V { return this.value(I64, (e) => this.address(e, this.lenBytes * 8)); }

  /** Guest address of the record at ip + skip. */
  private address(e: Emitter, skip: number): void {
    e.get(this.l.pageVa).get(this.l.ip).get(this.l.page).op("i32.sub");
    if (skip) e.i32(skip).op("i32.add");
    e.i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add");
  }

  setX(v: V): void {
    this.recordField(this.e, REC_RD);
    this.put(v);
    this.e.mem("i64.store", this.hart);
  }

  setW(v: V): void { this.setX(this.op("i64.extend_i32_s", v)); }

  // ---- expressions ----
  op(name: Op, ...args: V[]): V {
    return this.value(resultType(name), (e) => { for (const a of args) e.raw(a.bytes); e.op(name); });
  }

  i32(n: number): V { return this.value(I32, (e) => e.i32(n)); }
  i64(n: bigint): V { return this.value(I64, (e) => e.i64(n)); }

  select(cond: V, yes: V, no: V): V {
    return { type: yes.type, bytes: [...yes.bytes, ...no.bytes, ...cond.bytes, 0x1b] };
  }

  let(v: V): V {
    const local = this.pool.take(v.type);
    this.put(v);
    this.e.set(local);
    return this.value(v.type, (e) => e.get(local));
  }

  when(cond: V, then: () => void, otherwise?: () => void): void {
    this.put(cond);
    this.e.if();
    this.depth++;
    then();
    if (otherwise) {
      this.e.op("else");
      otherwise();
    }
    this.depth--;
    this.e.op("end");
  }

  // ---- memory ----
  /** Leaves the host offset of a hit or of a slow access in a local; stores that TypeScript did leave 0. */
  private translate(addr: V, size: number, kind: number, tag: number): number {
    const { e, l } = this, ea = this.pool.take(I64), entry = this.pool.take(I32), place = this.pool.take(I32);
    this.put(addr);
    e.tee(ea).i64(7n).op("i64.shr_u").op("i32.wrap_i64").i32((DATA_ENTRIES - 1) * DATA_ENTRY).op("i32.and").get(l.bank).op("i32.add").tee(entry);
    e.mem("i64.load", tag).get(ea).i64(BigInt(-4096 | (size - 1))).op("i64.and").op("i64.eq").if();
    e.get(ea).op("i32.wrap_i64").get(entry).mem("i32.load", ADDEND).op("i32.add").set(place).op("else");
    e.i32(kind | size).get(ea).get(l.ip).get(l.left).get(l.pageVa).get(l.page).call(FN_SLOW).set(l.answer);
    e.i32(0).mem("i32.load", this.hart + LEFT).set(l.left);
    e.get(l.answer).i32(SLOW_RETRY).op("i32.eq").if().get(l.left).i32(1).op("i32.add").set(l.left);
    this.toTop(2);
    e.op("end").get(l.answer).i32(SLOW_TRAP).op("i32.eq").if();
    this.exit(RUN_TRAP, 2);
    e.op("end").i32(0).i32(0).mem("i32.load", this.hart + SCRATCH_AT).get(l.answer).i32(SLOW_DONE).op("i32.eq").op("select").set(place).op("end");
    return place;
  }

  load(op: MemoryOp, addr: V): V {
    const place = this.translate(addr, sizeOf(op), KIND_LOAD, TAG_READ);
    return this.value(I64, (e) => e.get(place).mem(op, 0));
  }

  store(op: MemoryOp, addr: V, value: V): void {
    // The value of a slow store has to be in place before TypeScript is asked, and costs the fast one nothing much.
    const held = this.let(value);
    this.e.i32(0);
    this.put(held);
    this.e.mem("i64.store", this.hart + SCRATCH_VALUE);
    const place = this.translate(addr, sizeOf(op), KIND_STORE, TAG_WRITE);
    this.e.get(place).if().get(place);
    this.put(held);
    this.e.mem(op, 0).op("end");
  }

  place(addr: V, sizeBytes: 4 | 8, kind: number): V {
    const ea = this.let(addr), misaligned = kind === KIND_LR ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED;
    this.when(this.op("i32.and", this.op("i32.wrap_i64", ea), this.i32(sizeBytes - 1)), () => this.raise(misaligned, ea));
    const place = this.translate(ea, sizeBytes, kind, kind === KIND_LR ? TAG_READ : TAG_WRITE);
    return this.value(I32, (e) => e.get(place));
  }

  at(op: MemoryOp, place: V): V { return this.value(I64, (e) => e.raw(place.bytes).mem(op, 0)); }

  putAt(op: MemoryOp, place: V, value: V): void {
    this.put(place);
    this.put(value);
    this.e.mem(op, 0);
  }

  field(op: MemoryOp, offset: number): V {
    return this.value(op.startsWith("i64") ? I64 : I32, (e) => e.i32(0).mem(op, this.hart + offset));
  }

  setField(op: MemoryOp, offset: number, value: V): void {
    this.e.i32(0);
    this.put(value);
    this.e.mem(op, this.hart + offset);
  }

  // ---- control ----
  branch(cond: V): void {
    this.put(cond);
    this.e.if();
    this.jumpBy(1);
    this.e.op("end");
  }

  jumpRelative(): void {
    this.jumpBy(0);
    this.ended = true;
  }

  /** Goes to the record `imm` away, or through the fetch TLB when that is on another page. */
  private jumpBy(extra: number): void {
    const { e, l } = this, target = this.pool.take(I32);
    e.get(l.ip).get(l.ip).mem("i32.load", REC_IMM).op("i32.add").tee(target).get(l.page).op("i32.sub").i32(PAGE_RECORD_BYTES).op("i32.lt_u").if();
    e.get(target).set(l.ip);
    this.toTop(extra + 1);
    e.op("end").get(l.pageVa).get(target).get(l.page).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").set(l.npc);
    this.toFetch(extra);
  }

  jump(target: V): void {
    const { e, l } = this;
    this.put(target);
    e.i64(-2n).op("i64.and").tee(l.npc).get(l.pageVa).op("i64.xor").i64(4096n).op("i64.lt_u").if();
    e.get(l.npc).op("i32.wrap_i64").i32(4095).op("i32.and").i32(3).op("i32.shl").get(l.page).op("i32.add").set(l.ip);
    this.toTop(1);
    e.op("end");
    this.toFetch();
    this.ended = true;
  }

  trap(cause: number, tval: V): void {
    this.raise(cause, tval);
    this.ended = true;
  }

  private raise(cause: number, tval: V): void {
    const v = this.let(tval);
    this.sync();
    this.e.i32(cause);
    this.put(this.op("i32.wrap_i64", v));
    this.put(this.op("i32.wrap_i64", this.op("i64.shr_u", v, this.i64(32n))));
    this.e.call(FN_RAISE);
    this.exit(RUN_TRAP);
  }

  /** Puts pc, ip and the instructions left where TypeScript finds them. */
  private sync(): void {
    const { e, l, hart } = this;
    e.i32(0).get(l.ip).mem("i32.store", hart + IP).i32(0).get(l.left).mem("i32.store", hart + LEFT).i32(0);
    this.address(e, 0);
    e.mem("i64.store", hart + PC);
  }

  private resync(): void {
    this.e.i32(0).mem("i32.load", this.hart + LEFT).set(this.l.left);
  }

  system(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).mem("i32.load", REC_IMM).i32(this.lenBytes).call(FN_SYSTEM).set(l.answer);
    this.resync();
    e.i32(0).mem("i32.load", this.hart + DATA_BANK).set(l.bank);
    e.get(l.answer).i32(SYS_NEXT).op("i32.ne").if();
    e.get(l.answer).i32(SYS_JUMP).op("i32.eq").if().i32(0).mem("i64.load", this.hart + PC).set(l.npc);
    this.toFetch(2);
    e.op("end").i32(RUN_LEAVE).i32(RUN_TRAP).get(l.answer).i32(SYS_LEAVE).op("i32.eq").op("select").set(l.why).br(this.depth + 4).op("end");
  }

  // ---- floating point ----
  needFloat(): void {
    this.when(this.op("i32.eqz", this.field("i32.load", FS)), () => this.illegal());
  }

  illegal(): void {
    this.sync();
    this.e.call(FN_ILLEGAL);
    this.exit(RUN_TRAP);
  }

  fbits(r: FloatSource): V { return this.register(I64, "i64.load", FLOAT_OFFSETS[r]); }
  f64(r: FloatSource): V { return this.register(F64, "f64.load", FLOAT_OFFSETS[r]); }

  f32(r: FloatSource): V {
    const bits = this.let(this.fbits(r));
    const boxed = this.op("i64.eq", this.op("i64.shr_s", bits, this.i64(32n)), this.i64(-1n));
    return this.op("f32.reinterpret_i32", this.select(boxed, this.op("i32.wrap_i64", bits), this.i32(0x7fc00000)));
  }

  setF(bits: V): void {
    this.setX(bits);
    this.setField("i32.store", FS, this.i32(3));
  }

  setFs(bits: V): void { this.setF(this.op("i64.or", this.op("i64.extend_i32_u", bits), this.i64(-0x100000000n))); }
  fastRounding(): V { return this.value(I32, (e) => this.recordField(e, REC_EXTRA).mem("i32.load", this.hart)); }

  raiseFlags(flags: V): void {
    this.setField("i32.store", FFLAGS, this.op("i32.or", this.field("i32.load", FFLAGS), flags));
    const nx = this.let(this.op("i32.and", this.field("i32.load", FFLAGS), this.i32(1)));
    this.setField("i32.store", FP_FAST_RNE, nx);
    this.setField("i32.store", FP_FAST_DYN, this.op("i32.and", nx, this.op("i32.eqz", this.field("i32.load", FRM))));
    this.setField("i32.store", FS, this.i32(3));
  }

  coldFloat(op: number): void {
    this.sync();
    this.e.i32(op).call(FN_COLD_FLOAT).if();
    this.exit(RUN_TRAP, 1);
    this.e.op("end");
    this.resync();
  }

  fma(a: V, b: V, c: V): V { return { type: F64, bytes: [...a.bytes, ...b.bytes, ...c.bytes, 0x10, FN_FMA] }; }

  // ---- operations that are no instructions ----
  decode(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).call(FN_DECODE).get(l.left).i32(1).op("i32.add").set(l.left);
    this.toTop();
    this.ended = true;
  }

  pageEnd(): void {
    const { e, l } = this;
    e.get(l.left).i32(1).op("i32.add").set(l.left);
    this.address(e, 0);
    e.set(l.npc);
    this.toFetch();
    this.ended = true;
  }

  cross(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).call(FN_CROSS).tee(l.operation).i32(0).op("i32.lt_s").if();
    this.exit(RUN_TRAP, 1);
    e.op("end").br(this.depth);
    this.ended = true;
  }
}

interface Locals { ip: number; page: number; pageVa: number; left: number; bank: number; npc: number; why: number; answer: number; operation: number }

/** Temporaries, reused by each handler. */
class LocalPool {
  private readonly e: Emitter;
  private readonly of = new Map<WasmType, number[]>();
  private readonly used = new Map<WasmType, number>();

  constructor(e: Emitter) {
    this.e = e;
  }

  reset(): void {
    this.used.clear();
  }

  take(type: WasmType): number {
    const all = this.of.get(type) ?? [], at = this.used.get(type) ?? 0;
    if (at === all.length) all.push(this.e.local(type));
    this.of.set(type, all);
    this.used.set(type, at + 1);
    return all[at]!;
  }
}

function resultType(op: Op): WasmType {
  const [type, what] = op.split(".");
  if (what && /^(eqz|eq|ne|lt|gt|le|ge)(_[su])?$/.test(what)) return I32;
  return type === "i32" ? I32 : type === "i64" ? I64 : type === "f32" ? 0x7d : F64;
}

function sizeOf(op: MemoryOp): number {
  const bits = /(8|16|32)(_[su])?$/.exec(op.split(".")[1]!)?.[1];
  return bits ? Number(bits) / 8 : op.startsWith("i32") || op.startsWith("f32") ? 4 : 8;
}

/** The slow access as a function, so that each handler has only a call. */
function slowFunction(hart: number): Emitter {
  const e = new Emitter(6);
  e.i32(0).get(1).mem("i64.store", hart + SCRATCH_VA).i32(0).get(2).mem("i32.store", hart + IP).i32(0).get(3).mem("i32.store", hart + LEFT);
  e.i32(0).get(4).get(2).get(5).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").mem("i64.store", hart + PC);
  e.get(0).call(FN_DATA_MISS);
  return e;
}

/** $fetch: from npc to the records of its page. */
function emitFetch(e: Emitter, hart: number, l: Locals): void {
  const entry = e.local(I32);
  e.get(l.npc).i64(-4096n).op("i64.and").set(l.pageVa);
  e.get(l.npc).i64(12n).op("i64.shr_u").op("i32.wrap_i64").i32(FETCH_ENTRIES - 1).op("i32.and").i32(FETCH_ENTRY).op("i32.mul");
  e.i32(0).mem("i32.load", hart + FETCH_BANK).op("i32.add").tee(entry).mem("i64.load", 0).get(l.pageVa).op("i64.ne").if();
  e.i32(0).get(l.npc).mem("i64.store", hart + PC).i32(0).get(l.left).mem("i32.store", hart + LEFT);
  // No instruction is under way: it counts as one that did not retire.
  e.call(FN_FETCH_MISS).if().get(l.left).i32(1).op("i32.sub").set(l.left).i32(RUN_TRAP).set(l.why).br(3).op("end").br(1).op("end");
  e.get(entry).mem("i32.load", FETCH_RECORDS).tee(l.page);
  e.get(l.npc).op("i32.wrap_i64").i32(4094).op("i32.and").i32(3).op("i32.shl").op("i32.add").set(l.ip);
}

function runFunction(hart: number): Emitter {
  const e = new Emitter(1), pool = new LocalPool(e);
  const l: Locals = {
    ip: e.local(I32), page: e.local(I32), left: LEFT_ARG, bank: e.local(I32), why: e.local(I32), answer: e.local(I32), operation: e.local(I32),
    pageVa: e.local(I64), npc: e.local(I64),
  };
  e.i32(0).mem("i64.load", hart + PC).set(l.npc).i32(0).mem("i32.load", hart + DATA_BANK).set(l.bank);
  e.block().loop();
  e.get(l.left).op("i32.eqz").if().i32(0).get(l.npc).mem("i64.store", hart + PC).i32(RUN_BUDGET).set(l.why).br(2).op("end");
  emitFetch(e, hart, l);
  e.loop().get(l.left).op("i32.eqz").if();
  e.get(l.pageVa).get(l.ip).get(l.page).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").set(l.npc).br(2).op("end");
  e.get(l.left).i32(1).op("i32.sub").set(l.left).get(l.ip).mem("i32.load16_u", REC_OP).set(l.operation).loop();
  for (let op = 0; op < OP_COUNT; op++) e.block();
  e.get(l.operation).brTable(Array.from({ length: OP_COUNT }, (_, op) => op), OP_ILLEGAL);
  for (let op = 0; op < OP_COUNT; op++) {
    e.op("end");
    const short = op >= FIRST_ROW_OP + rows.length, h = new Handler(e, hart, l, pool, OP_COUNT - 1 - op, short ? 2 : 4);
    if (op === OP_DECODE) h.decode();
    else if (op === OP_PAGE_END) h.pageEnd();
    else if (op === OP_CROSS) h.cross();
    else if (op === OP_ILLEGAL) h.illegal();
    else rows[short ? shortBases[op - FIRST_ROW_OP - rows.length]! : op - FIRST_ROW_OP]!.sem(h);
    if (op !== OP_ILLEGAL) h.finish();
  }
  e.op("end").op("end").op("end").op("end");
  // What trapped did not retire.
  e.i32(0).get(l.left).get(l.why).i32(RUN_TRAP).op("i32.eq").op("i32.add").mem("i32.store", hart + LEFT).get(l.why);
  return e;
}

/** The interpreter's module for the hart whose block lies at `hart`. */
export function interpreterModule(hart: number, memoryPages: number): Uint8Array {
  const m = new ModuleBuilder(memoryPages);
  m.importFunction("dataMiss", [I32], [I32]);
  m.importFunction("fetchMiss", [], [I32]);
  m.importFunction("system", [I32, I32], [I32]);
  m.importFunction("decode", [I32], []);
  m.importFunction("cross", [I32], [I32]);
  m.importFunction("illegal", [], []);
  m.importFunction("raise", [I32, I32, I32], []);
  m.importFunction("coldFloat", [I32], [I32]);
  m.addFunction([I32, I64, I32, I32, I64, I32], [I32], slowFunction(hart));
  m.addFunction([F64, F64, F64], [F64], emitFma());
  m.addFunction([I32], [I32], runFunction(hart), "run");
  return m.bytes();
}
