// The seam to a supervisor in TypeScript: what stops Hart.run, and what state it finds.
import { Machine, STOP_BUDGET, STOP_INTERRUPT, STOP_TRAP, type TlbMode } from "../../../emu/machine.ts";
import * as csr from "../../../emu/hart/csrnum.ts";
import { assemble } from "../../helpers/assembler.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("hosted");
const ROOT = 0x100, CODE_VA = 0x10000, PTE_USER_CODE = 0xdf;

/** User code in frame 1, mapped at CODE_VA. */
function world(source: string, tlb: TlbMode = "normal") {
  const m = new Machine({ ramBytes: 2 << 20, console: { read: () => 0, write() {} }, hosted: true, tlb }), { hart, ram } = m;
  const pte = (frame: number, bits: number) => ((frame + 0x80000) << 10) | bits;
  ram.i32[ROOT * 1024] = pte(ROOT + 1, 1);
  ram.i32[(ROOT + 1) * 1024] = pte(ROOT + 2, 1);
  ram.i32[(ROOT + 2) * 1024 + (CODE_VA / 4096) * 2] = pte(1, PTE_USER_CODE);
  ram.u8.set(assemble(source, CODE_VA).bytes, 4096);
  hart.codeWritten(0x80001);
  hart.setSatp(0x80000 + ROOT, 1);
  hart.pc = CODE_VA;
  return { m, hart };
}

test("a budget is kept to the instruction", () => {
  const { hart } = world("loop: addi a0, a0, 1\nj loop");
  for (const budget of [1, 7, 1000, 99999]) {
    const before = hart.instret;
    assert.is(hart.run(budget), STOP_BUDGET);
    assert.is(hart.instret - before, budget);
  }
  assert.is(hart.reg(10), Math.ceil(hart.instret / 2) + 0x0);
});

test("ecall, ebreak, illegal instructions and page faults stop at their instruction in U-mode", () => {
  const cases: [string, number, number][] = [
    ["ecall", 8, 0], ["ebreak", 3, CODE_VA + 4], [".word 0", 2, 0], ["ld a0, 8(zero)", 13, 8], ["sd a0, -8(zero)", 15, -8], ["csrr a0, sstatus", 2, 0x10002573],
  ];
  for (const [insn, cause, tval] of cases) {
    const { hart } = world(`nop\n${insn}`);
    assert.is(hart.run(100), STOP_TRAP, insn);
    assert.equal([hart.cause, hart.tval, hart.pc, hart.priv, hart.instret], [cause, tval, CODE_VA + 4, 0, 1], insn);
  }
});

test("after the supervisor moved pc it goes on", () => {
  const { hart } = world("ecall\nli a0, 5\necall");
  hart.run(10);
  hart.pc += 4;
  assert.is(hart.run(10), STOP_TRAP);
  assert.is(hart.reg(10), 5);
});

test("a jump to nowhere is a fetch page fault at its target", () => {
  const { hart } = world("li t0, 0x5000\njr t0");
  assert.is(hart.run(10), STOP_TRAP);
  assert.equal([hart.cause, hart.tval, hart.pc, hart.instret], [12, 0x5000, 0x5000, 2]);
});

test("an interrupt that the supervisor enabled stops before the next instruction, and again until it is served", () => {
  const { m, hart } = world("loop: j loop");
  m.bus.write(0xc000028, 4, 1);
  m.bus.write(0xc002080, 4, 1 << 10);
  m.plic.line(10)(true);
  assert.is(hart.run(100), STOP_BUDGET, "sie is clear");
  hart.writeCsr(csr.SIE, 0x200n);
  const before = hart.instret;
  assert.is(hart.run(100), STOP_INTERRUPT);
  assert.is(hart.instret, before);
  assert.is(hart.run(100), STOP_INTERRUPT);
  assert.is(m.bus.read(0xc201004, 4), 10);
  assert.is(hart.run(100), STOP_BUDGET);
});

test("stimecmp interrupts through the clock's alarms", () => {
  const { m, hart } = world("loop: j loop");
  hart.writeCsr(csr.SIE, 0x20n);
  hart.writeCsr(csr.STIMECMP, 5n);
  assert.is(m.clock.insnsUntil(m.clock.nextAlarm()), 500);
  assert.is(hart.run(m.clock.insnsUntil(m.clock.nextAlarm())), STOP_BUDGET);
  m.clock.fire();
  assert.is(hart.run(100), STOP_INTERRUPT);
});

test("a store of the host's is seen by code once codeWritten says so", () => {
  const { m, hart } = world("li a0, 1\necall");
  hart.run(10);
  m.ram.i32[1024] = 0x00200513;
  hart.codeWritten(0x80001);
  hart.pc = CODE_VA;
  hart.run(10);
  assert.is(hart.reg(10), 2);
});

test("user code may read time and counters", () => {
  const { hart } = world("csrr a0, time\ncsrr a1, cycle\ncsrr a2, instret\necall");
  hart.run(10);
  assert.is(hart.cause, 8);
  assert.is(hart.reg(12), 2);
});

test.run();
