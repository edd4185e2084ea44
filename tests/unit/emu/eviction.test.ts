// What translations take stays bounded: at a bound the coldest go, and whatever dies gives back modules, slots and cells.
import { assert, suite } from "../../helpers/suite.ts";
import { STOP_TRAP } from "../../../emu/machine.ts";
import type { Tuning } from "../../../emu/jit/tuning.ts";
import { CODE_VA, World } from "../../helpers/codeworld.ts";

const test = suite("eviction");
const A0 = 10, A1 = 11, RA = 1, ADDI_A0_A0 = 0x00050513;
/** Bytes of a function, and times around its loop at each call. */
const SIZE = 16, TIMES = 40;

/** Where a call returns to, and then functions that each add a number of their own to a0, a1 times. */
class Functions {
  readonly w: World;
  readonly count: number;

  constructor(count: number, tuning: Partial<Tuning>, more = "") {
    const each = Array.from({ length: count }, (_, i) => `f${i}: addi a0, a0, ${i % 2000}\naddi a1, a1, -1\nbnez a1, f${i}\nret`);
    this.count = count;
    this.w = new World(["ebreak", ...each, more].join("\n"), "jit", CODE_VA, tuning);
  }

  at(i: number): number {
    return CODE_VA + 4 + i * SIZE;
  }

  /** Calls a place with a0 = 0 and a1 = TIMES. => a0 */
  call(va: number): number {
    const { hart } = this.w.m;
    hart.pc = va;
    hart.setReg(A0, 0);
    hart.setReg(A1, TIMES);
    hart.setReg(RA, CODE_VA);
    assert.is(hart.run(100_000), STOP_TRAP);
    assert.equal([hart.cause, hart.pc], [3, CODE_VA]);
    return hart.reg(A0);
  }

  run(i: number): void {
    assert.is(this.call(this.at(i)), (i % 2000) * TIMES, `function ${i}`);
  }

  get engine() {
    return this.w.m.hart.engine!;
  }
}

test("hot code survives what evicts cold code, and nothing exceeds its bound", () => {
  const f = new Functions(1500, { modules: 40 }), { engine } = f;
  const isThere = (i: number): boolean => engine.entryAt(f.at(i)) !== null;
  f.run(0);
  f.run(0);
  const hot = engine.entryAt(f.at(0))!.f;
  for (let i = 1; i < f.count; i++) {
    f.run(i);
    f.run(0);
    const { modules, regions, cells, slots } = engine.report();
    assert.ok(modules <= 40 && regions <= 80 && slots === regions && cells <= 200, JSON.stringify(engine.report()));
  }
  assert.is(engine.entryAt(f.at(0))!.f, hot, "the same translation from the beginning");
  assert.not(isThere(1));
  assert.ok(isThere(f.count - 1));
  assert.ok(engine.stats.evictions > 1400, JSON.stringify(engine.stats));
  assert.is(engine.stats.flushes, 0);
});

test("what fits is translated once, however long it runs", () => {
  // A region each, and one for its last instruction, which had not run when the loop was translated.
  const f = new Functions(17, { modules: 40 }), { engine } = f;
  const round = (): void => { for (let i = 0; i < f.count; i++) f.run(i); };
  for (let n = 0; n < 5; n++) round();
  const { regions } = engine.stats;
  assert.is(engine.report().modules, 34);
  for (let n = 0; n < 30; n++) round();
  assert.is(engine.stats.regions, regions);
  assert.is(engine.stats.evictions, 0);
});

test("a working set that does not fit runs right", () => {
  const f = new Functions(60, { modules: 40 }), { engine } = f, rounds = 20;
  for (let n = 0; n < rounds; n++) for (let i = 0; i < f.count; i++) f.run(i);
  assert.ok(engine.stats.regions <= rounds * f.count * 2, `${engine.stats.regions} regions`);
  assert.ok(engine.report().modules <= 40);
});

test("code that is written again and again leaves nothing behind, though a caller that stays imports it", () => {
  const f = new Functions(1, {}, "caller: mv s1, ra\nagain: call callee\naddi a1, a1, -1\nbnez a1, again\nmv ra, s1\nret\n.align 12\ncallee: addi a0, a0, 1\nret");
  const { engine } = f, { ram, hart } = f.w.m, caller = f.at(1), callee = 8192;
  for (let n = 1; n < 1500; n++) {
    ram.i32[callee / 4] = ADDI_A0_A0 | ((n % 2000) << 20);
    hart.codeWritten(0x80002);
    for (let again = 0; again < 2; again++) assert.is(f.call(caller), (n % 2000) * TIMES, `round ${n}`);
    const { modules, regions, cells, pinned } = engine.report();
    assert.ok(modules <= 6 && pinned <= 2 && regions <= 6 && cells <= 20, JSON.stringify(engine.report()));
  }
  assert.ok(engine.stats.drops > 1000, JSON.stringify(engine.stats));
  engine.flush();
  const { modules, regions, cells, slots, pinned, wasmBytes } = engine.report();
  assert.equal([modules, regions, cells, slots, pinned, wasmBytes], [0, 0, 0, 0, 0, 0]);
});

test("a module lives on while a caller imports it, and goes with the caller", () => {
  const f = new Functions(1, {}, ".align 12\ncaller: mv s1, ra\nagain: call callee\naddi a1, a1, -1\nbnez a1, again\nmv ra, s1\nret\n.align 12\ncallee: addi a0, a0, 1\naddi a0, a0, 1\nret");
  const { engine } = f, { hart } = f.w.m, caller = CODE_VA + 4096, callee = CODE_VA + 8192;
  for (let n = 0; n < 3; n++) f.call(callee);
  assert.ok(engine.entryAt(callee) !== null, "the callee is first");
  for (let n = 0; n < 3; n++) assert.is(f.call(caller), 2 * TIMES);
  const before = engine.report();
  assert.is(before.pinned, 0);
  hart.codeWritten(0x80003);
  const without = engine.report();
  assert.equal([without.pinned, without.modules, without.cells], [1, before.modules, before.cells]);
  hart.codeWritten(0x80002);
  assert.equal([engine.report().pinned, engine.report().regions], [0, 0]);
  assert.equal([engine.report().modules, engine.report().cells], [0, 0]);
});

/** Calls what lies at `place`, fills the page with copies of a4 and stores a5 and a return there, as often as s0 says. */
const FILLER = `outer: li a0, 0
jalr ra, 0(s1)
add s3, s3, a0
addi a4, a4, 1
li t0, 512
mv t1, s1
fill: sd a4, 0(t1)
addi t1, t1, 8
addi t0, t0, -1
bnez t0, fill
sd a5, 0(s1)
fence.i
addi s0, s0, -1
bnez s0, outer
ebreak
.align 12
place: addi a0, a0, 7
ret`;
const ROUNDS = 20, PLACE = CODE_VA + 4096, PTE_ALL = 0xdf;

test("a page whose code went and that is filled with data takes its stores without being asked, and runs again", () => {
  for (const engine of ["interp", "jit"] as const) {
    const w = new World(FILLER, engine, CODE_VA, { hot: 10_000 }), { hart } = w.m, { code, mmu } = hart;
    w.map(PLACE, 2, PTE_ALL);
    hart.setReg(8, ROUNDS);
    hart.setReg(9, PLACE);
    // addi a0, a0, 9; ret
    hart.x64[15] = (0x00008067n << 32n) | 0x00950513n;
    assert.is(hart.run(1_000_000), STOP_TRAP);
    assert.equal([hart.cause, hart.reg(19)], [3, 7 + 9 * (ROUNDS - 1)]);
    // 16 stores that ask in the first round, twice as many in each later one until all do: 16 (2^6 - 1) and 14 times 513.
    const asked = mmu.stats.fills - mmu.stats.refills;
    assert.ok(code.releases >= 5 && code.releases < ROUNDS, `${code.releases} releases`);
    assert.ok(asked > ROUNDS && asked < 16 * 63 + 15 * 514, `${asked} stores that asked`);
  }
});

/** Stores 400 times to s1, having called a page of its own. */
const STORES = "call callee\nli s0, 400\nloop: sd s0, 64(s1)\naddi s0, s0, -1\nbnez s0, loop\nebreak";
const CALLEE = ".align 12\ncallee: li a0, 30000\nagain: addi a0, a0, -1\nbnez a0, again\nret";

/** Runs it with stores to the page of frame `frame`. => how many pages became data */
function releases(frame: number, hot: number): number {
  const w = new World(`${STORES}\n${CALLEE}`, "jit", CODE_VA, { hot }), { hart } = w.m, va = CODE_VA + (frame - 1) * 4096;
  w.map(va, frame, PTE_ALL);
  hart.setReg(9, va);
  // Translation is made between calls of generated code.
  for (let n = 0; n < 100 && hart.run(1000) !== STOP_TRAP; n++);
  assert.is(hart.cause, 3);
  return hart.code.releases;
}

test("a page that stores to itself keeps what it runs, and so does one with translations", () => {
  assert.is(releases(1, 60_000), 0, "itself");
  assert.is(releases(2, 2), 0, "another, translated");
  assert.is(releases(2, 60_000), 1, "another, interpreted");
});

test.run();
