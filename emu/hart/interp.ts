// The interpreter: WebAssembly generated from the instruction table at start-up. Three functions:
//
//   run(left)          fast, then exact for the one instruction that fast left to it, and so on
//   fast(left)         runs until the budget is spent or an instruction needs TypeScript; makes no calls
//   exact(left, stop)  the same with calls; runs until `stop` instructions are left: one, as run asks it
//
// The shape of fast and of exact:
//
//   block $exit
//     loop $fetch                          npc -> fetch TLB -> records of its page
//       block $cold                        saves what stands at ip, leaves (fast)
//         block $off                       ip -> npc, to $fetch
//           loop $top
//             block $next4                 ip += 4 bytes, to $top
//               block $next2               ip += 2 bytes, to $top
//                 budget, operation        one instruction
//                 loop $again              br_table over the operation; one block for each handler
//
// Locals hold the record pointer, the page and the instructions left; the pc is where the record pointer stands in its
// page. One function with the calls in it ran at about half the speed: V8 spilled around them, and computed what handlers
// shared before each dispatch. Of fast, some handlers do two instructions that often follow each other (fusion.ts).
import { rows } from "../isa/table.ts";
import { Emitter, I32, I64, ModuleBuilder } from "../jit/wasm.ts";
import {
  ExactHandler, FN_DATA_MISS, FN_FETCH_MISS, FN_HOT, FN_REGION_FLOAT, FN_REGION_MISS, FN_VERIFY, RUN_BUDGET, RUN_COLD, RUN_FETCH, RUN_LEAVE, RUN_TRAP,
} from "./exacthandler.ts";
import { FastHandler } from "./fasthandler.ts";
import { FAST_OP_COUNT, firstOf, pairs } from "./fusion.ts";
import { CORE_PARAMS, CORE_RESULTS, floatFunction, goFunction, missFunction, runFunction, stopFunction, TABLE_SLOTS } from "../jit/core.ts";
import { emitCount, type Locals } from "./handler.ts";
import {
  CODE_PAGE, DATA_BANK, FETCH_BANK, FETCH_ENTRIES, FETCH_ENTRY, FETCH_RECORDS, HART_BASE, HART_STRIDE, HOT_FLAG, IP, LEFT, PAGE_VA, PC, REC_OP, SCRATCH_AT,
  SCRATCH_VA,
} from "./layout.ts";
import { PLACE_PARAMS, PLACE_RESULTS, placeFunction, UNMAPPED } from "../mmu/refill.ts";
import { KIND_UNMAPPED_SHIFT, SLOW_AT } from "./cold.ts";
import { OP_COUNT, OP_CROSS, OP_DECODE, OP_ENTER, OP_ILLEGAL, OP_PAGE_END, opInstruction } from "./ops.ts";
import { LocalPool } from "./wasmbuilder.ts";

export { RUN_BUDGET, RUN_LEAVE, RUN_TRAP };

type Kind = "fast" | "exact";
const LEFT_ARG = 0, STOP_ARG = 1;
const RECORD2 = 16, RECORD4 = 32;

/**
 * The slow access as a function, so that each handler has only a call: kind, address, then what TypeScript wants to find.
 *
 * => place: the function of mmu/refill.ts, which is asked first
 */
function slowFunction(hart: number, place: number): Emitter {
  const e = new Emitter(6), at = e.local(I32);
  e.i32(0).get(3).mem("i32.store", hart + LEFT);
  e.get(1).get(0).call(place).tee(at).i32(UNMAPPED).op("i32.gt_u").if().i32(0).get(at).mem("i32.store", hart + SCRATCH_AT).i32(SLOW_AT).op("return").op("end");
  e.i32(0).get(1).mem("i64.store", hart + SCRATCH_VA).i32(0).get(2).mem("i32.store", hart + IP);
  e.i32(0).get(4).get(2).get(5).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").mem("i64.store", hart + PC);
  e.get(0).get(at).i32(KIND_UNMAPPED_SHIFT).op("i32.shl").op("i32.or").call(FN_DATA_MISS);
  return e;
}

/** $fetch: from npc to the records of its page. Stands directly inside $fetch. */
function emitFetch(e: Emitter, hart: number, l: Locals, kind: Kind): void {
  const entry = e.local(I32);
  e.get(l.npc).i64(-4096n).op("i64.and").set(l.pageVa);
  e.get(l.npc).i64(12n).op("i64.shr_u").op("i32.wrap_i64").i32(FETCH_ENTRIES - 1).op("i32.and").i32(FETCH_ENTRY).op("i32.mul");
  e.i32(0).mem("i32.load", hart + FETCH_BANK).op("i32.add").tee(entry).mem("i64.load", 0).get(l.pageVa).op("i64.ne");
  e.hint(false);
  e.if().i32(0).get(l.npc).mem("i64.store", hart + PC);
  if (kind === "fast") e.i32(RUN_FETCH).set(l.why).br(2);
  else {
    e.i32(0).get(l.left).mem("i32.store", hart + LEFT);
    // No instruction is under way: it counts as one that did not retire.
    e.call(FN_FETCH_MISS).if().get(l.left).i32(1).op("i32.sub").set(l.left).i32(RUN_TRAP).set(l.why).br(3).op("end").br(1);
  }
  e.op("end").get(entry).mem("i32.load", FETCH_RECORDS).tee(l.page);
  e.get(l.npc).op("i32.wrap_i64").i32(4094).op("i32.and").i32(3).op("i32.shl").op("i32.add").set(l.ip);
  if (l.count < 0) return;
  emitCount(e, l);
  e.hint(false);
  e.if().i32(0).i32(1).mem("i32.store", hart + HOT_FLAG).i32(0).get(l.ip).mem("i32.store", hart + IP).i32(0).get(l.npc).mem("i64.store", hart + PC);
  e.i32(RUN_FETCH).set(l.why).br(2).op("end");
}

/** The handlers: one block each, closed one after the other behind the br_table. Of a pair exact does the first instruction. */
function emitHandlers(e: Emitter, hart: number, l: Locals, kind: Kind): void {
  const pool = new LocalPool(e), Made = kind === "fast" ? FastHandler : ExactHandler, count = kind === "fast" ? FAST_OP_COUNT : OP_COUNT;
  for (let op = 0; op < count; op++) e.block();
  e.get(l.operation).brTable(Array.from({ length: FAST_OP_COUNT }, (_, op) => (op < count ? op : firstOf(op))), OP_ILLEGAL);
  const handler = (op: number, lenBytes: 2 | 4) => new Made(e, hart, l, pool, count - 1 - op, lenBytes);
  for (let op = 0; op < OP_COUNT; op++) {
    e.op("end");
    const { row, lenBytes } = opInstruction(op), h = handler(op, lenBytes);
    if (op === OP_DECODE) h.decode();
    else if (op === OP_PAGE_END) h.pageEnd();
    else if (op === OP_CROSS) h.cross();
    else if (op === OP_ILLEGAL) h.illegal();
    else if (op === OP_ENTER) h.enter();
    else rows[row]!.sem(h);
    if (op !== OP_ILLEGAL) h.finish();
  }
  for (let op = OP_COUNT; op < count; op++) {
    e.op("end");
    const { first, second } = pairs[op - OP_COUNT]!;
    for (const [i, one] of [first, second].entries()) {
      const { row, lenBytes } = opInstruction(one), h = handler(op, lenBytes);
      rows[row]!.sem(h);
      if (i === 0) h.goOn();
      else h.finish();
    }
  }
}

function kindFunction(hart: number, kind: Kind, slow: number, { jit, hotJumps, fusedMadd }: InterpreterOptions): Emitter {
  const e = new Emitter(kind === "fast" ? 1 : 2);
  const l: Locals = {
    ip: e.local(I32), page: e.local(I32), left: LEFT_ARG, bank: e.local(I32), why: e.local(I32), answer: e.local(I32), operation: e.local(I32),
    pageVa: e.local(I64), npc: e.local(I64), count: jit && kind === "fast" ? e.local(I32) : -1, slow, hotJumps, fusedMadd,
  };
  // What TypeScript takes away from the instructions left ends exact, too.
  const spent = () => (kind === "fast" ? e.get(l.left).op("i32.eqz") : e.get(l.left).get(STOP_ARG).op("i32.le_u"));
  e.i32(0).mem("i64.load", hart + PC).set(l.npc).i32(0).mem("i32.load", hart + DATA_BANK).set(l.bank);
  e.block().loop();
  spent().if().i32(0).get(l.npc).mem("i64.store", hart + PC).i32(RUN_BUDGET).set(l.why).br(2).op("end");
  emitFetch(e, hart, l, kind);
  e.block().block().loop().block().block();
  spent();
  e.hint(false);
  e.brIf(3).get(l.left).i32(1).op("i32.sub").set(l.left).get(l.ip).mem("i32.load16_u", REC_OP).set(l.operation);
  // Only exact dispatches a second time; a loop costs a check each time around.
  if (kind === "fast") e.block();
  else e.loop();
  emitHandlers(e, hart, l, kind);
  e.op("end").op("end").get(l.ip).i32(RECORD2).op("i32.add").set(l.ip).br(1);
  e.op("end").get(l.ip).i32(RECORD4).op("i32.add").set(l.ip).br(0).op("end").op("end");
  e.get(l.pageVa).get(l.ip).get(l.page).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add").set(l.npc).br(1).op("end");
  e.i32(0).get(l.ip).mem("i32.store", hart + IP).i32(0).get(l.page).mem("i32.store", hart + CODE_PAGE).i32(0).get(l.pageVa).mem("i64.store", hart + PAGE_VA);
  e.i32(RUN_COLD).set(l.why).br(1).op("end").op("end");
  // What trapped, or is left to exact, did not retire.
  e.i32(0).get(l.left).get(l.why).i32(kind === "fast" ? RUN_COLD : RUN_TRAP).op("i32.eq").op("i32.add").mem("i32.store", hart + LEFT).get(l.why);
  return e;
}

function alternateFunction(hart: number, fast: number, exact: number): Emitter {
  const e = new Emitter(1), why = e.local(I32), left = LEFT_ARG;
  e.loop().get(left).call(fast).tee(why).i32(RUN_BUDGET).op("i32.eq").if().i32(RUN_BUDGET).op("return").op("end");
  e.get(why).i32(RUN_COLD).op("i32.eq").if().i32(0).i32(0).mem("i64.load", hart + PAGE_VA);
  e.i32(0).mem("i32.load", hart + IP).i32(0).mem("i32.load", hart + CODE_PAGE).op("i32.sub").i32(3).op("i32.shr_s").op("i64.extend_i32_s").op("i64.add");
  e.mem("i64.store", hart + PC).op("end");
  e.i32(0).mem("i32.load", hart + LEFT).tee(left).get(left).i32(1).op("i32.sub").call(exact).tee(why).if().get(why).op("return").op("end");
  e.i32(0).mem("i32.load", hart + LEFT).tee(left).brIf(0).op("end").i32(RUN_BUDGET);
  return e;
}

export interface InterpreterOptions {
  /** With what translated code needs (jit/core.ts). */
  readonly jit: boolean;
  /** Jumps that make a place hot. */
  readonly hotJumps: number;
  /** The host fuses multiplication and addition (jit/features.ts). */
  readonly fusedMadd: boolean;
}

/** The interpreter's module for the hart whose block lies at `hart`. */
export function interpreterModule(hart: number, memoryPages: number, options: InterpreterOptions): Uint8Array {
  const { jit } = options;
  const m = new ModuleBuilder(memoryPages);
  m.importFunction("dataMiss", [I32], [I32]);
  m.importFunction("fetchMiss", [], [I32]);
  m.importFunction("system", [I32, I32], [I32]);
  m.importFunction("decode", [I32], []);
  m.importFunction("cross", [I32], [I32]);
  m.importFunction("illegal", [], []);
  m.importFunction("raise", [I32, I32, I32], []);
  m.importFunction("coldFloat", [I32], [I32]);
  if (jit) {
    m.importTable(TABLE_SLOTS);
    m.importFunction("regionMiss", [I32], [I32]);
    m.importFunction("hot", [I32], []);
    m.importFunction("verify", [I32], [I32]);
    m.importFunction("regionFloat", [I32, I32], [I32]);
  }
  const place = m.nextFunction, slow = place + 1, fast = place + 2, exact = place + 3;
  m.addFunction(PLACE_PARAMS, PLACE_RESULTS, placeFunction(hart, (hart - HART_BASE) / HART_STRIDE));
  m.addFunction([I32, I64, I32, I32, I64, I32], [I32], slowFunction(hart, place));
  m.addFunction([I32], [I32], kindFunction(hart, "fast", slow, options));
  m.addFunction([I32, I32], [I32], kindFunction(hart, "exact", slow, options), "exact");
  if (!jit) m.addFunction([I32], [I32], alternateFunction(hart, fast, exact), "run");
  else {
    const type = m.functionType(CORE_PARAMS, CORE_RESULTS);
    m.addFunction([I32], [I32], runFunction(hart, { fast, exact, hot: FN_HOT, verify: FN_VERIFY, type }), "run");
    const add = (body: Emitter, name: string) => m.addFunction(CORE_PARAMS, CORE_RESULTS, body, name);
    add(goFunction(hart, type), "go");
    add(missFunction(hart, place, FN_REGION_MISS), "miss");
    add(stopFunction(hart), "stop");
    add(floatFunction(FN_REGION_FLOAT), "float");
  }
  return m.bytes();
}
