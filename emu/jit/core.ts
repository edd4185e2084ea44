// The core's part of translated code: functions of the interpreter's module that regions import, and the way from the
// interpreter into a region.
//
//   go      from a region to the code at pc: through the fetch TLB, the page's records and the entry's cell to the function
//   miss    a data access that the TLB does not hold
//   float   a floating-point operation done exactly by TypeScript
//   stop    leaves pc and the instructions left where TypeScript finds them
//   run     the interpreter, and regions where it meets them
import { RUN_BUDGET, RUN_COLD } from "../hart/exacthandler.ts";
import {
  CELL, CELL_ENTRY, CELL_NEED, CELL_PC, CELL_SLOT, CELL_STAMP, CELLS, CODE_PAGE, ENTRY_OF_BIAS, EPOCH, FETCH_BANK, FETCH_ENTRIES, FETCH_ENTRY, FETCH_RECORDS,
  HOT_FLAG, IP, LEFT, PAGE_VA, PC, SCRATCH_VA, TRANSLATED,
} from "../hart/layout.ts";
import { OP_ENTER } from "../hart/ops.ts";
import { emitCrossing, UNMAPPED } from "../mmu/refill.ts";
import { Emitter, I32, I64 } from "./wasm.ts";

/**
 * The one type of all functions that modules of regions import or export. Older V8s compile a wrapper for each type of imported
 * functions, in case JavaScript stands behind it: several took longer than all else about a small module.
 *
 *   region  pc, left, retPc, how      see translate.ts; it knows its pc
 *   go      pc, left, retPc, calls that may nest
 *   miss    address, kind, -, left
 *   stop    pc, left, -, result       => the result
 *   float   -, operation, -, record
 */
export const CORE_PARAMS = [I64, I32, I64, I32] as const, CORE_RESULTS = [I32] as const;
/** Results of a region below 0: the instruction at pc is the interpreter's; go on at pc by whatever means. */
export const RESULT_PUNT = -1, RESULT_QUIT = -2;
export const DEPTH_BITS = 10, DEPTH_MASK = (1 << DEPTH_BITS) - 1;
/** Answer of verify when it ran the region itself. */
export const VERIFY_DONE = 2;
/** Slots of the function table. */
export const TABLE_SLOTS = 8192;
/** Guest calls that nest as WebAssembly calls. */
const DEPTH_MAX = 400;
/** A return address that no return has. */
const NOWHERE = 1n;

/** => type: the number of a region's type in the module */
export function goFunction(hart: number, type: number): Emitter {
  const e = new Emitter(4), entry = e.local(I32), cell = e.local(I32), ip = e.local(I32), [pc, left, ret, depth] = [0, 1, 2, 3];
  e.block();
  e.get(pc!).op("i32.wrap_i64").i32(12).op("i32.shr_u").i32(FETCH_ENTRIES - 1).op("i32.and").i32(FETCH_ENTRY).op("i32.mul");
  e.i32(0).mem("i32.load", hart + FETCH_BANK).op("i32.add").tee(entry).mem("i64.load", 0).get(pc!).i64(-4096n).op("i64.and").op("i64.ne").brIf(0);
  e.get(entry).mem("i32.load", FETCH_RECORDS).get(pc!).op("i32.wrap_i64").i32(4094).op("i32.and").i32(3).op("i32.shl").op("i32.add").tee(ip);
  e.mem("i32.load16_u", 0).i32(OP_ENTER).op("i32.ne").brIf(0);
  cellOf(e, ip).tee(cell).mem("i32.load", CELLS + CELL_STAMP).i32(0).mem("i32.load", hart + EPOCH).op("i32.ne").brIf(0);
  e.get(cell).mem("i64.load", CELLS + CELL_PC).get(pc!).op("i64.ne").brIf(0);
  e.get(pc!).get(left!).get(ret!).get(cell).mem("i32.load", CELLS + CELL_ENTRY).get(depth!).op("i32.or").get(cell).mem("i32.load", CELLS + CELL_SLOT);
  e.returnCallIndirect(type).op("end");
  e.i32(0).get(pc!).mem("i64.store", hart + PC).i32(0).get(left!).mem("i32.store", hart + LEFT).i32(RESULT_QUIT);
  return e;
}

/** Emits the offset of a record's cell from CELLS. */
function cellOf(e: Emitter, ip: number): Emitter {
  return e.get(ip).i32(3).op("i32.shr_u").mem("i32.load16_u", ENTRY_OF_BIAS).i32(CELL).op("i32.mul");
}

/** Asks for an access that the check in translated code refused. => place: the function of mmu/refill.ts, which is asked first */
export function missFunction(hart: number, place: number, regionMiss: number): Emitter {
  const e = new Emitter(4), at = e.local(I32), [ea, kind, left] = [0, 1, 3];
  // Over the end of a page is the interpreter's. A group has no one answer there, and its accesses look for themselves; a frame may lie so
  // for as long as a loop runs.
  emitCrossing(e).if().i32(0).get(left!).mem("i32.store", hart + LEFT).i32(0).op("return").op("end");
  e.get(ea!).get(kind!).call(place).tee(at).i32(UNMAPPED).op("i32.gt_u").if().get(at).op("return").op("end");
  e.i32(0).get(left!).mem("i32.store", hart + LEFT);
  // A page fault is the interpreter's.
  e.get(at).if().i32(0).op("return").op("end");
  e.i32(0).get(ea!).mem("i64.store", hart + SCRATCH_VA).get(kind!).call(regionMiss);
  return e;
}

export function stopFunction(hart: number): Emitter {
  const e = new Emitter(4), [pc, left, result] = [0, 1, 3];
  e.i32(0).get(pc!).mem("i64.store", hart + PC).i32(0).get(left!).mem("i32.store", hart + LEFT).get(result!);
  return e;
}

export function floatFunction(regionFloat: number): Emitter {
  const [operation, record] = [1, 3];
  return new Emitter(4).get(operation!).get(record!).call(regionFloat);
}

/** What run calls. */
export interface RunParts { readonly fast: number; readonly exact: number; readonly hot: number; readonly verify: number; readonly type: number }

/** The interpreter's run, with regions. */
export function runFunction(hart: number, f: RunParts): Emitter {
  const e = new Emitter(1), left = 0, why = e.local(I32), cell = e.local(I32), ip = e.local(I32);
  const field = (offset: number) => e.i32(0).mem("i32.load", hart + offset);
  e.loop().get(left).call(f.fast).tee(why).i32(RUN_BUDGET).op("i32.eq").if().i32(RUN_BUDGET).op("return").op("end");
  field(LEFT).set(left);
  field(IP).set(ip);
  e.get(why).i32(RUN_COLD).op("i32.eq").if().i32(0).i32(0).mem("i64.load", hart + PAGE_VA);
  e.get(ip);
  field(CODE_PAGE).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").mem("i64.store", hart + PC).op("end");
  field(HOT_FLAG).if().i32(0).i32(0).mem("i32.store", hart + HOT_FLAG).get(ip).call(f.hot);
  field(LEFT).set(left).br(1).op("end");
  // block 0 of the following ends where one instruction is to be interpreted.
  e.block();
  e.get(why).i32(RUN_COLD).op("i32.ne").brIf(0).get(ip).mem("i32.load16_u", 0).i32(OP_ENTER).op("i32.ne").brIf(0);
  cellOf(e, ip).set(cell);
  const invalid = () => {
    e.get(cell).mem("i32.load", CELLS + CELL_STAMP);
    field(EPOCH).op("i32.ne").get(cell).mem("i64.load", CELLS + CELL_PC).i32(0).mem("i64.load", hart + PC).op("i64.ne").op("i32.or");
  };
  invalid();
  e.if().get(ip).call(f.verify).tee(why).op("i32.eqz").brIf(1);
  e.get(why).i32(VERIFY_DONE).op("i32.eq").if();
  field(LEFT).set(left).br(3).op("end");
  cellOf(e, ip).set(cell).op("end");
  e.get(left).get(cell).mem("i32.load", CELLS + CELL_NEED).op("i32.lt_u").brIf(0);
  e.i32(0).mem("i64.load", hart + PC).get(left).i64(NOWHERE).get(cell).mem("i32.load", CELLS + CELL_ENTRY).i32(DEPTH_MAX).op("i32.or").get(cell).mem("i32.load", CELLS + CELL_SLOT);
  e.callIndirect(f.type).set(why);
  e.i32(0).i32(0).mem("i64.load", hart + TRANSLATED).get(left);
  field(LEFT).tee(left).op("i32.sub").op("i64.extend_i32_u").op("i64.add").mem("i64.store", hart + TRANSLATED);
  e.get(why).i32(RESULT_PUNT).op("i32.ne").brIf(1).op("end");
  e.get(left).get(left).i32(1).op("i32.sub").call(f.exact).tee(why).if().get(why).op("return").op("end");
  field(LEFT).tee(left).brIf(0).op("end").i32(RUN_BUDGET);
  return e;
}
