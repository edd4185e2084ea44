// The static context: instructions written against the builder become translated code. Operands are constants and wasm
// locals; constants fold; x registers that a block has set to a constant are constants.
//
// Nothing cold happens here. Where an instruction needs TypeScript the code leaves with the instruction not done (`punt`),
// and the interpreter does it.
import type { Builder, FloatSource, Source, V } from "../isa/builder.ts";
import { GROUP_SIZE_SHIFT, KIND_AMO, KIND_LOAD, KIND_LR, KIND_STORE } from "../hart/cold.ts";
import {
  DATA_ENTRIES, DATA_ENTRY, F0, FP_FAST_DYN, FP_FAST_RNE, FS, HOST_PAGE, LEFT, SLOT_ADDENDS, SLOT_PAGES, SLOTS_USED, TAG_READ, TAG_WRITE, X0,
} from "../hart/layout.ts";
import { LocalPool, WasmBuilder } from "../hart/wasmbuilder.ts";
import { constant, fold, type StaticV } from "./fold.ts";
import type { Group } from "./group.ts";
import type { Insn } from "./region.ts";
import { type Emitter, F64, I32, I64, type MemoryOp, type Op, sizeOf } from "./wasm.ts";

const RM_DYN = 7, INDEX_MASK = (DATA_ENTRIES - 1) * DATA_ENTRY, INDEX_SHIFT = 7;

/** What the builder needs of the function around it. */
export interface Frame {
  readonly e: Emitter;
  /** Byte offset of the hart's block. */
  readonly hart: number;
  readonly bank: number;
  readonly left: number;
  /** The core's function for a miss of the data TLB. */
  readonly missFunction: number;
  readonly fusedMadd: boolean;
  xLocal(r: number): number;
  fLocal(r: number): number;
  /** Stores what is dirty and leaves at the instruction. => local `left` counts it as not retired */
  punt(): void;
  /** The check that the present access shares with others of its block, or null. */
  sharedCheck(): { group: Group; local: number; isFirst: boolean } | null;
  /** The page slot of accesses off a base register that stays on a page for long, or -1. */
  pageSlot(base: number, store: boolean): number;
  /** The present instruction's decoded record, or -1. */
  record(): number;
  readonly floatFunction: number;
  /** Instructions of the block from this one on. */
  remaining(): number;
}

export type Jump = { readonly kind: "branch"; readonly cond: StaticV } | { readonly kind: "relative" } | { readonly kind: "jump"; readonly target: StaticV };

export class StaticBuilder extends WasmBuilder implements Builder {
  private readonly frame: Frame;
  private insn!: Insn;
  /** Constants that x registers hold, in the present block. */
  private readonly known = new Map<number, bigint>();
  private floatChecked = false;
  private floatDirty = false;
  /** How the last instruction ends the block. */
  jumpTaken: Jump | null = null;

  constructor(frame: Frame) {
    super(frame.e, frame.hart, new LocalPool(frame.e), frame.fusedMadd);
    this.frame = frame;
  }

  beginBlock(): void {
    this.known.clear();
    this.floatChecked = this.floatDirty = false;
  }

  begin(insn: Insn): void {
    this.insn = insn;
    this.pool.reset();
    this.jumpTaken = null;
  }

  /** An x register was changed by others: nothing is known of it. */
  forget(r: number): void {
    this.known.delete(r);
  }

  // ---- operands ----
  x(r: Source): StaticV {
    const n = r === "rs1" ? this.insn.rs1 : this.insn.rs2, known = n === 0 ? 0n : this.known.get(n);
    return known !== undefined ? this.i64(known) : this.local(I64, this.frame.xLocal(n));
  }

  w(r: Source): StaticV { return this.op("i32.wrap_i64", this.x(r)); }
  imm(): StaticV { return this.i64(BigInt(this.insn.imm)); }
  imm32(): StaticV { return this.i32(this.insn.imm); }
  pc(): StaticV { return this.i64(BigInt(this.insn.va)); }
  next(): StaticV { return this.i64(BigInt(this.insn.va + this.insn.lenBytes)); }

  setX(v: V): void {
    const { rd } = this.insn;
    if (rd === 0) return;
    const k = (v as StaticV).k;
    if (k !== undefined && this.nested === 0) this.known.set(rd, k);
    else this.known.delete(rd);
    this.put(v);
    this.e.set(this.frame.xLocal(rd));
  }

  setW(v: V): void { this.setX(this.op("i64.extend_i32_s", v)); }

  // ---- expressions ----
  override op(name: Op, a: V, b?: V): V & StaticV & { readonly last: Op } {
    return (fold(name, a as StaticV, b as StaticV | undefined) ?? super.op(name, a, b)) as StaticV & { readonly last: Op };
  }

  override i32(n: number): StaticV { return constant(I32, BigInt(n | 0)); }
  override i64(n: bigint): StaticV { return constant(I64, BigInt.asIntN(64, n)); }

  override select(cond: V, yes: V, no: V): V {
    const { k } = cond as StaticV;
    return k !== undefined ? (k !== 0n ? yes : no) : super.select(cond, yes, no);
  }

  override let(v: V): V {
    return (v as StaticV).k !== undefined ? v : super.let(v);
  }

  override when(cond: V, then: () => void, otherwise?: () => void): void {
    const { k } = cond as StaticV;
    if (k === undefined) super.when(cond, then, otherwise);
    else if (k !== 0n) then();
    else otherwise?.();
  }

  // ---- memory ----
  /**
   * Emits the check of `size` bytes at an address; `missed` runs with the TLB's answer no. Leaves their host offset in a local. What is
   * not aligned counts as missed where `aligned` asks for it.
   */
  private check(addr: V, size: number, tag: number, place: number, missed: (ea: number) => void, aligned = false): void {
    const { e, frame } = this, ea = this.pool.take(I64), inPage = this.pool.take(I64), entry = this.pool.take(I32);
    this.put(addr);
    e.tee(ea).get(ea).op("i32.wrap_i64").i32(INDEX_SHIFT).op("i32.shr_u").i32(INDEX_MASK).op("i32.and").get(frame.bank).op("i32.add").tee(entry);
    e.mem("i64.load", tag).op("i64.sub").tee(inPage);
    e.op("i32.wrap_i64").get(entry).mem("i32.load", HOST_PAGE).op("i32.add").set(place);
    // The whole access lies behind the tag and on its page; an aligned one does if its first byte does.
    if (aligned) e.get(inPage).i64(BigInt(-4096 | (size - 1))).op("i64.and").i64(0n).op("i64.ne");
    else e.get(inPage).i64(BigInt(4096 - size)).op("i64.gt_u");
    e.hint(false);
    e.if();
    missed(ea);
    e.op("end");
  }

  /** Asks the core for an access, of the address on the stack; leaves translated code when it is the interpreter's. */
  private askCore(kind: number, place: number): void {
    const { e, frame } = this;
    e.i32(kind).i64(0n).get(frame.left);
    if (frame.remaining() > 1) e.i32(frame.remaining() - 1).op("i32.add");
    e.call(frame.missFunction).tee(place).op("i32.eqz");
    e.hint(false);
    e.if().i32(0).mem("i32.load", frame.hart + LEFT).i32(1).op("i32.add").set(frame.left);
    frame.punt();
    e.op("end");
  }

  /** Leaves the host offset of a checked access in a local. */
  private translate(addr: V, size: number, kind: number, tag: number): number {
    const place = this.pool.take(I32), isAtomic = (kind & (KIND_AMO | KIND_LR)) !== 0;
    this.check(addr, size, tag, place, (ea) => {
      if (isAtomic) this.leaveMisaligned(ea, size);
      this.e.get(ea);
      this.askCore(kind | size, place);
    }, isAtomic);
    return place;
  }

  /** A misaligned atomic operation traps: the interpreter's matter. */
  private leaveMisaligned(ea: number, size: number): void {
    this.when(this.op("i32.and", this.op("i32.wrap_i64", this.local(I64, ea)), this.i32(size - 1)), () => this.leave());
  }

  /** The same by the page in a slot. */
  private translateSteady(addr: V, size: number, kind: number, slot: number): number {
    const { e, frame } = this, ea = this.pool.take(I64), place = this.pool.take(I32);
    const pageAt = frame.hart + SLOT_PAGES + 8 * slot, addendAt = frame.hart + SLOT_ADDENDS + 4 * slot;
    this.put(addr);
    // What is not aligned might lie on two pages, of which the slot knows one.
    e.tee(ea).i64(BigInt(-4096 | (size - 1))).op("i64.and").i32(0).mem("i64.load", pageAt).op("i64.ne");
    e.hint(false);
    e.if();
    if ((kind & (KIND_AMO | KIND_LR)) !== 0) this.leaveMisaligned(ea, size);
    e.get(ea);
    this.askCore(kind | size, place);
    e.i32(0).get(ea).i64(-4096n).op("i64.and").mem("i64.store", pageAt);
    e.i32(0).get(place).get(ea).op("i32.wrap_i64").op("i32.sub").mem("i32.store", addendAt);
    e.i32(0).i32(1).mem("i32.store", frame.hart + SLOTS_USED).op("end");
    e.get(ea).op("i32.wrap_i64").i32(0).mem("i32.load", addendAt).op("i32.add").set(place);
    return place;
  }

  /** A plain access. => local with a host offset, and how far behind it the bytes are */
  private access(op: MemoryOp, addr: V, kind: number): { place: number; delta: number } {
    const { e, frame } = this, size = sizeOf(op), shared = frame.sharedCheck();
    if (shared === null) {
      const slot = frame.pageSlot(this.insn.rs1, kind === KIND_STORE);
      const place = slot >= 0 ? this.translateSteady(addr, size, kind, slot) : this.translate(addr, size, kind, kind === KIND_STORE ? TAG_WRITE : TAG_READ);
      return { place, delta: 0 };
    }
    const { group, local, isFirst } = shared, delta = this.insn.imm - group.low, place = this.pool.take(I32);
    if (isFirst) {
      const low = this.op("i64.add", this.x("rs1"), this.i64(BigInt(group.low)));
      this.check(low, group.high - group.low, group.hasStore ? TAG_WRITE : TAG_READ, local, (ea) => {
        e.get(ea).i32((group.hasStore ? KIND_STORE : KIND_LOAD) | ((group.high - group.low) << GROUP_SIZE_SHIFT)).i64(0n).get(frame.left);
        if (frame.remaining() > 1) e.i32(frame.remaining() - 1).op("i32.add");
        e.call(frame.missFunction).set(local);
      });
    }
    e.get(local).tee(place).op("i32.eqz");
    e.hint(false);
    e.if();
    this.check(addr, size, kind === KIND_STORE ? TAG_WRITE : TAG_READ, place, (ea) => {
      e.get(ea);
      this.askCore(kind | size, place);
    });
    if (delta > 0) e.get(place).i32(delta).op("i32.sub").set(place);
    e.op("end");
    return { place, delta };
  }

  load(op: MemoryOp, addr: V): V {
    const { place, delta } = this.access(op, addr, KIND_LOAD);
    return this.at(op, this.local(I32, place), delta);
  }

  store(op: MemoryOp, addr: V, value: V): void {
    const { place, delta } = this.access(op, addr, KIND_STORE);
    this.e.get(place);
    this.put(value);
    this.e.mem(op, delta);
  }

  place(addr: V, sizeBytes: 4 | 8, kind: number): V {
    const isStore = kind !== KIND_LR, slot = this.frame.pageSlot(this.insn.rs1, isStore);
    return this.local(I32, slot >= 0 ? this.translateSteady(addr, sizeBytes, kind, slot) : this.translate(addr, sizeBytes, kind, isStore ? TAG_WRITE : TAG_READ));
  }

  // ---- control ----
  branch(cond: V): void { this.jumpTaken = { kind: "branch", cond: cond as StaticV }; }
  jumpRelative(): void { this.jumpTaken = { kind: "relative" }; }
  jump(target: V): void { this.jumpTaken = { kind: "jump", target: this.op("i64.and", target, this.i64(-2n)) }; }
  csr(): { number: number; source: number } { return { number: this.insn.imm >>> 20, source: this.insn.rs1 }; }
  trap(): void { this.leave(); }
  system(): void { this.leave(); }

  private leave(): void {
    this.colds++;
    const { e, frame } = this;
    if (frame.remaining() > 0) e.get(frame.left).i32(frame.remaining()).op("i32.add").set(frame.left);
    frame.punt();
  }

  // ---- floating point ----
  /** The floating-point CSR instructions of translated code leave mstatus.FS on: once in a block is enough. */
  needFloat(): void {
    if (this.floatChecked) return;
    this.floatChecked = true;
    this.when(this.op("i32.eqz", this.field("i32.load", FS)), () => this.leave());
  }

  private fNumber(r: FloatSource): number {
    return r === "fs1" ? this.insn.rs1 : r === "fs2" ? this.insn.rs2 : this.insn.rs3;
  }

  fbits(r: FloatSource): StaticV { return this.op("i64.reinterpret_f64", this.f64(r)); }
  f64(r: FloatSource): StaticV { return this.local(F64, this.frame.fLocal(this.fNumber(r))); }

  setF(bits: V): void {
    this.put(this.op("f64.reinterpret_i64", bits));
    this.e.set(this.frame.fLocal(this.insn.rd));
    if (this.floatDirty) return;
    if (this.nested === 0) this.floatDirty = true;
    this.setField("i32.store", FS, this.i32(3));
  }

  fastRounding(): V {
    const rm = this.insn.imm;
    return rm === 0 ? this.field("i32.load", FP_FAST_RNE) : rm === RM_DYN ? this.field("i32.load", FP_FAST_DYN) : this.i32(0);
  }

  /** Done exactly by TypeScript, in place: operands and result go through the hart's block. */
  coldFloat(op: number): void {
    const { e, frame, insn } = this, { shape } = insn, record = frame.record();
    if (record < 0) return this.leave();
    const putF = (r: number) => e.i32(0).get(frame.fLocal(r)).mem("f64.store", frame.hart + F0 + 8 * r);
    if (shape.readsF1) putF(insn.rs1);
    if (shape.readsF2) putF(insn.rs2);
    if (shape.readsF3) putF(insn.rs3);
    if (shape.readsX1 && insn.rs1 !== 0) e.i32(0).get(frame.xLocal(insn.rs1)).mem("i64.store", frame.hart + X0 + 8 * insn.rs1);
    e.i64(0n).i32(op).i64(0n).i32(record).call(frame.floatFunction);
    e.hint(false);
    e.if();
    this.leave();
    e.op("end");
    if (shape.writesF) e.i32(0).mem("f64.load", frame.hart + F0 + 8 * insn.rd).set(frame.fLocal(insn.rd));
    else if (insn.rd !== 0) {
      this.known.delete(insn.rd);
      e.i32(0).mem("i64.load", frame.hart + X0 + 8 * insn.rd).set(frame.xLocal(insn.rd));
    }
  }
}
