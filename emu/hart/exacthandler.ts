// Handlers of the exact function: they call TypeScript for what the fast ones leave alone.
import type { V } from "../isa/builder.ts";
import { I32, type MemoryOp, sizeOf } from "../jit/wasm.ts";
import { KIND_STORE, SLOW_DONE, SLOW_RETRY, SLOW_TRAP, SYS_JUMP, SYS_LEAVE, SYS_NEXT } from "./cold.ts";
import { Handler, TO_AGAIN, TO_EXIT, TO_FETCH, TO_TOP } from "./handler.ts";
import { CELL, CELL_OP, CELLS, DATA_BANK, ENTRY_OF_BIAS, IP, LEFT, PC, REC_IMM, SCRATCH_AT, SCRATCH_VALUE, TAG_WRITE } from "./layout.ts";

/** Why generated code returned. COLD, of the fast function alone: the instruction at IP needs the exact one; FETCH: at PC. */
export const RUN_BUDGET = 0, RUN_TRAP = 1, RUN_LEAVE = 2, RUN_COLD = 3, RUN_FETCH = 4;

/** Functions that the module imports; the last four only with the translator. */
export const FN_DATA_MISS = 0, FN_FETCH_MISS = 1, FN_SYSTEM = 2, FN_DECODE = 3, FN_CROSS = 4, FN_ILLEGAL = 5, FN_RAISE = 6, FN_COLD_FLOAT = 7,
  FN_REGION_MISS = 8, FN_HOT = 9, FN_VERIFY = 10, FN_REGION_FLOAT = 11;

export class ExactHandler extends Handler {
  private exit(why: number, extra = 0): void {
    this.e.i32(why).set(this.l.why);
    this.to(TO_EXIT, extra);
  }

  /** Asks TypeScript after a miss. A store that TypeScript did leaves 0. */
  protected translate(addr: V, size: number, kind: number, tag: number): number {
    const { e, l } = this, at = this.takeLook(), { ea } = at, place = this.pool.take(I32);
    this.look(addr, size, tag, at);
    e.if();
    this.hit(at);
    e.set(place).op("else");
    e.i32(kind | size).get(ea).get(l.ip).get(l.left).get(l.pageVa).get(l.page).call(l.slow).set(l.answer);
    this.resync();
    e.get(l.answer).i32(SLOW_RETRY).op("i32.eq").if().get(l.left).i32(1).op("i32.add").set(l.left);
    this.to(TO_TOP, 2);
    e.op("end").get(l.answer).i32(SLOW_TRAP).op("i32.eq").if();
    this.exit(RUN_TRAP, 2);
    e.op("end").i32(0).i32(0).mem("i32.load", this.hart + SCRATCH_AT).get(l.answer).i32(SLOW_DONE).op("i32.eq").op("select").set(place).op("end");
    return place;
  }

  store(op: MemoryOp, addr: V, value: V): void {
    // The value of a slow store has to be in place before TypeScript is asked.
    const held = this.let(value);
    this.e.i32(0);
    this.put(held);
    this.e.mem("i64.store", this.hart + SCRATCH_VALUE);
    const place = this.translate(addr, sizeOf(op), KIND_STORE, TAG_WRITE);
    this.e.get(place).if().get(place);
    this.put(held);
    this.e.mem(op, 0).op("end");
  }

  protected raise(cause: number, tval: V): void {
    const v = this.let(tval);
    this.sync();
    this.e.i32(cause);
    this.put(this.op("i32.wrap_i64", v));
    this.put(this.op("i32.wrap_i64", this.op("i64.shr_u", v, this.i64(32n))));
    this.e.call(FN_RAISE);
    this.exit(RUN_TRAP);
  }

  illegal(): void {
    this.sync();
    this.e.call(FN_ILLEGAL);
    this.exit(RUN_TRAP);
  }

  system(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).mem("i32.load", REC_IMM).i32(this.lenBytes).call(FN_SYSTEM).set(l.answer);
    this.resync();
    e.i32(0).mem("i32.load", this.hart + DATA_BANK).set(l.bank);
    e.get(l.answer).i32(SYS_NEXT).op("i32.ne").if();
    e.get(l.answer).i32(SYS_JUMP).op("i32.eq").if().i32(0).mem("i64.load", this.hart + PC).set(l.npc);
    this.to(TO_FETCH, 2);
    e.op("end").i32(RUN_LEAVE).i32(RUN_TRAP).get(l.answer).i32(SYS_LEAVE).op("i32.eq").op("select").set(l.why);
    this.to(TO_EXIT, 1);
    e.op("end");
  }

  coldFloat(op: number): void {
    this.sync();
    this.e.i32(op).call(FN_COLD_FLOAT).if();
    this.exit(RUN_TRAP, 1);
    this.e.op("end");
    this.resync();
  }

  decode(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).call(FN_DECODE).get(l.left).i32(1).op("i32.add").set(l.left);
    this.to(TO_TOP);
    this.ended = true;
  }

  cross(): void {
    const { e, l } = this;
    this.sync();
    e.get(l.ip).call(FN_CROSS).tee(l.operation).i32(0).op("i32.lt_s").if();
    this.exit(RUN_TRAP, 1);
    e.op("end");
    this.to(TO_AGAIN);
    this.ended = true;
  }

  /** Translated code begins here, but this instruction is to be interpreted. */
  enter(): void {
    const { e, l } = this;
    e.get(l.ip).i32(3).op("i32.shr_u").mem("i32.load16_u", ENTRY_OF_BIAS).i32(CELL).op("i32.mul").mem("i32.load", CELLS + CELL_OP).set(l.operation);
    this.to(TO_AGAIN);
    this.ended = true;
  }

  /** Puts pc, ip and the instructions left where TypeScript finds them. */
  private sync(): void {
    const { e, l, hart } = this;
    e.i32(0).get(l.ip).mem("i32.store", hart + IP).i32(0).get(l.left).mem("i32.store", hart + LEFT).i32(0);
    e.get(l.pageVa).get(l.ip).get(l.page).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add");
    e.mem("i64.store", hart + PC);
  }

  private resync(): void {
    this.e.i32(0).mem("i32.load", this.hart + LEFT).set(this.l.left);
  }
}
