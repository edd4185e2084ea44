// The interpreter around the instructions: budgets, precise traps, pages, code that changes.
import { CAUSE_BREAKPOINT, CAUSE_ECALL_U, CAUSE_FETCH_PAGE, CAUSE_ILLEGAL, CAUSE_LOAD_PAGE, CAUSE_STORE_PAGE } from "../../emu/hart/cold.ts";
import { STOP_BUDGET, STOP_TRAP } from "../../emu/hart/hart.ts";
import { CODE_SLOTS, RAM_PA } from "../../emu/hart/layout.ts";
import { asm } from "../helpers/asm.ts";
import { BareHart } from "../helpers/barehart.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("interpreter");
const A0 = 10, A1 = 11, A2 = 12, CODE = 0x1000, DATA = 0x8000, BASE = RAM_PA;
const NOP16 = 0x0001, ECALL = asm("ecall"), EBREAK16 = 0x9002;
/** A fresh hart for each test: they are cheap, and TLB and code cache start empty. */
const fresh = (): BareHart => new BareHart();
const addi = (rd: number, rs1: number, imm: number): number => asm("addi", { rd, rs1, imm });

/** Counts a0 up for ever: addi a0, a0, 1; c.nop; j back. */
function counter(bare: BareHart): void {
  bare.code(CODE, addi(A0, A0, 1), NOP16, asm("jal", { imm: -6 }));
}

test("exactly the budget retires, wherever it ends", () => {
  const bare = fresh(), { hart } = bare;
  counter(bare);
  hart.pc = BASE + CODE;
  let retired = 0;
  for (const budget of [1, 1, 1, 2, 3, 4, 5, 7, 100, 1001, 12345, 1, 999_999]) {
    assert.is(hart.run(budget), STOP_BUDGET);
    retired += budget;
    assert.is(hart.instret, retired);
    assert.is(hart.reg(A0), Math.ceil(retired / 3));
    assert.is(hart.pc, BASE + CODE + [0, 4, 6][retired % 3]!);
  }
  assert.is(hart.run(0), STOP_BUDGET);
  assert.is(hart.instret, retired);
});

test("slicing a run does not change where it goes", () => {
  const one = fresh(), many = fresh();
  for (const bare of [one, many]) {
    counter(bare);
    bare.hart.pc = BASE + CODE;
  }
  one.hart.run(60_000);
  for (let left = 60_000, n = 1; left > 0; n = (n * 7) % 1009) {
    const slice = Math.min(left, n);
    many.hart.run(slice);
    left -= slice;
  }
  assert.is(many.hart.pc, one.hart.pc);
  assert.is(many.hart.reg(A0), one.hart.reg(A0));
});

test("what traps does not retire, and pc stays at it", () => {
  const bare = fresh(), { hart } = bare;
  bare.code(CODE, addi(A0, 0, 1), NOP16, ECALL);
  assert.is(bare.run(CODE, 100), STOP_TRAP);
  assert.is(hart.cause, CAUSE_ECALL_U);
  assert.is(hart.instret, 2);
  assert.is(hart.pc, BASE + CODE + 6);
  // Going on at the same place traps again, and counts nothing.
  assert.is(hart.run(100), STOP_TRAP);
  assert.is(hart.instret, 2);
  hart.pc = BASE + CODE;
  assert.is(hart.run(2), STOP_BUDGET);
  assert.is(hart.run(1), STOP_TRAP);
});

test("faults name the instruction and the address, and change no register", () => {
  const bare = fresh(), { hart } = bare;
  for (const [insn, cause] of [[asm("ld", { rd: A1, rs1: A1, imm: -8 }), CAUSE_LOAD_PAGE], [asm("sd", { rs1: A1, rs2: A0, imm: -8 }), CAUSE_STORE_PAGE],
    [asm("amoadd.d", { rd: A1, rs1: A1, rs2: A0 }), CAUSE_STORE_PAGE], [asm("lr.d", { rd: A1, rs1: A1 }), CAUSE_LOAD_PAGE]] as const) {
    bare.code(CODE, NOP16, insn);
    hart.x64[A1] = 0x4000n;
    assert.is(bare.run(CODE, 10), STOP_TRAP);
    assert.is(hart.cause, cause);
    assert.is(hart.tval, (insn & 0x7f) === 0x2f ? 0x4000 : 0x3ff8);
    assert.is(hart.pc, BASE + CODE + 2);
    assert.is(hart.x64[A1], 0x4000n);
  }
});

test("an access over the end of a page faults in the second one, with nothing stored", () => {
  const bare = fresh(), { hart } = bare;
  bare.pages.set((BASE + DATA + 4096) / 4096, -1);
  bare.ram.fill(0xaa, DATA + 4088, DATA + 4096);
  bare.code(CODE, asm("sd", { rs1: A1, rs2: A0 }));
  hart.x64[A1] = BigInt(BASE + DATA + 4092);
  assert.is(bare.run(CODE, 1), STOP_TRAP);
  assert.is(hart.cause, CAUSE_STORE_PAGE);
  assert.is(hart.tval, BASE + DATA + 4096);
  assert.equal([...bare.ram.subarray(DATA + 4088, DATA + 4096)], new Array(8).fill(0xaa));
});

test("negative addresses are their own pages", () => {
  const bare = fresh(), { hart } = bare;
  bare.pages.set(-1, 9);
  bare.view.setBigInt64(9 * 4096 + 4088, 42n, true);
  bare.code(CODE, asm("ld", { rd: A0, rs1: 0, imm: -8 }));
  assert.is(bare.run(CODE, 1), STOP_BUDGET);
  assert.is(hart.reg(A0), 42);
  bare.pages.set(0x7ffffffff, 5);
  bare.view.setInt16(5 * 4096 + 4094, NOP16, true);
  bare.pages.set(0x800000000, 6);
  hart.pc = 0x7ffffffff * 4096 + 4094;
  assert.is(hart.run(1), STOP_BUDGET);
  assert.is(hart.pc, 0x800000000 * 4096);
});

test("illegal instructions carry their bits, and so do all-zero halfwords", () => {
  const bare = fresh(), { hart } = bare;
  for (const [insn, bits] of [[0xffffffff | 0, 0xffffffff], [0x0000, 0], [0x9c41, 0x9c41], [0x0000702f, 0x702f]] as const) {
    bare.code(CODE, insn);
    assert.is(bare.run(CODE, 1), STOP_TRAP);
    assert.is(hart.cause, CAUSE_ILLEGAL);
    assert.is(hart.tvalLo >>> 0, bits);
    assert.is(hart.pc, BASE + CODE);
  }
});

test("both breakpoints trap", () => {
  const bare = fresh();
  for (const insn of [EBREAK16, asm("ebreak")]) {
    bare.code(CODE, insn);
    assert.is(bare.run(CODE, 1), STOP_TRAP);
    assert.is(bare.hart.cause, CAUSE_BREAKPOINT);
  }
});

test("running off the end of a page goes on in the next one, wherever that lies", () => {
  const bare = fresh(), { hart } = bare;
  bare.pages.set((BASE + 0x2000) / 4096, 20);
  bare.code(0x1ffc, addi(A0, 0, 1));
  bare.code(20 * 4096, addi(A0, A0, 2), ECALL);
  assert.is(bare.run(0x1ffc, 10), STOP_TRAP);
  assert.is(hart.reg(A0), 3);
  assert.is(hart.pc, BASE + 0x2004);
  assert.is(hart.instret, 2);
});

test("an instruction across two pages runs, follows its second page when that moves, and faults there", () => {
  const bare = fresh(), { hart } = bare, first = addi(A0, 0, 0x123), other = addi(A0, 0, 0x456);
  bare.view.setUint16(0x1ffe, first & 0xffff, true);
  bare.view.setUint16(0x2000, first >>> 16, true);
  bare.view.setUint16(0x5000, other >>> 16, true);
  bare.code(0x2002, ECALL);
  bare.code(0x5002, ECALL);
  assert.is(bare.run(0x1ffe, 1), STOP_BUDGET);
  assert.is(hart.reg(A0), 0x123);
  assert.is(hart.pc, BASE + 0x2002);
  bare.pages.set((BASE + 0x2000) / 4096, 5);
  bare.flush();
  assert.is(bare.run(0x1ffe, 1), STOP_BUDGET);
  assert.is(hart.reg(A0), 0x456);
  bare.pages.set((BASE + 0x2000) / 4096, -1);
  bare.flush();
  assert.is(bare.run(0x1ffe, 1), STOP_TRAP);
  assert.is(hart.cause, CAUSE_FETCH_PAGE);
  assert.is(hart.pc, BASE + 0x1ffe);
  assert.is(hart.tval, BASE + 0x2000);
});

test("a jump to nowhere faults at its target", () => {
  const bare = fresh(), { hart } = bare;
  bare.code(CODE, asm("jalr", { rd: 1, rs1: A1 }));
  hart.x64[A1] = 0x6000n;
  assert.is(bare.run(CODE, 10), STOP_TRAP);
  assert.is(hart.cause, CAUSE_FETCH_PAGE);
  assert.is(hart.pc, 0x6000);
  assert.is(hart.tval, 0x6000);
  assert.is(hart.instret, 1);
  assert.is(hart.reg(1), BASE + CODE + 4);
});

test("stored code runs: on another page, on its own page, and the very next instruction", () => {
  const bare = fresh(), { hart } = bare;
  const store = [asm("sw", { rs1: A1, rs2: A2 }), asm("fence.i")];
  for (const at of [0x3000, CODE + 0x40, CODE + 8]) {
    bare.code(at, addi(A0, 0, 1));
    if (at !== CODE + 8) bare.code(CODE, ...store, asm("jal", { imm: at - CODE - 8 }));
    else bare.code(CODE, ...store);
    // Once with the old instruction in the cache, then stored over.
    assert.is(bare.run(at, 1), STOP_BUDGET);
    assert.is(hart.reg(A0), 1);
    hart.x64[A1] = BigInt(BASE + at);
    hart.x64[A2] = BigInt(addi(A0, 0, 2));
    assert.is(bare.run(CODE, at === CODE + 8 ? 3 : 4), STOP_BUDGET);
    assert.is(hart.reg(A0), 2, at.toString(16));
  }
});

test("a store to a code page by every kind of access is seen", () => {
  const bare = fresh(), { hart } = bare, at = 0x3000, two = addi(A0, 0, 2);
  const ways: [string, number[]][] = [
    ["sd", [asm("sd", { rs1: A1, rs2: A2 })]], ["amoswap", [asm("amoswap.w", { rs1: A1, rs2: A2 })]],
    ["sc", [asm("lr.w", { rd: 13, rs1: A1 }), asm("sc.w", { rd: 13, rs1: A1, rs2: A2 })]], ["across pages", [asm("sd", { rs1: A1, rs2: 14, imm: -4 })]],
  ];
  for (const [name, code] of ways) {
    bare.code(at, addi(A0, 0, 1), ECALL);
    bare.run(at, 1);
    hart.x64[A1] = BigInt(BASE + at);
    hart.x64[A2] = (BigInt(ECALL) << 32n) | BigInt(two);
    hart.x64[14] = BigInt(two) << 32n;
    bare.code(CODE, ...code);
    assert.is(bare.run(CODE, code.length), STOP_BUDGET);
    bare.run(at, 1);
    assert.is(hart.reg(A0), 2, name);
  }
});

test("host stores are seen once they are announced", () => {
  const bare = fresh(), { hart } = bare;
  bare.code(CODE, addi(A0, 0, 1));
  bare.run(CODE, 1);
  bare.view.setInt32(CODE, addi(A0, 0, 9), true);
  hart.code.written(CODE >>> 12);
  bare.run(CODE, 1);
  assert.is(hart.reg(A0), 9);
});

test("more pages of code than the cache has slots", () => {
  const pages = CODE_SLOTS + 100, bare = new BareHart((pages + 2) * 4096), { hart } = bare, { code } = hart;
  // Chained by jumps, each with another number: what is left of a page that gave up its slot would be seen in the sum.
  for (let p = 1; p <= pages; p++) bare.code(p * 4096, addi(A0, A0, p % 2000), asm("jal", { imm: 4092 }));
  bare.code((pages + 1) * 4096, ECALL);
  const sum = Array.from({ length: pages }, (_, i) => (i + 1) % 2000).reduce((n, p) => n + p, 0);
  for (let round = 1; round <= 2; round++) {
    hart.x64[A0] = 0n;
    assert.is(bare.run(4096, 10_000), STOP_TRAP);
    assert.is(hart.reg(A0), sum);
    assert.is(code.decodes, round * (2 * pages + 1), "a page that comes again is decoded again");
    assert.is(code.evictions, round * (pages + 1) - CODE_SLOTS);
  }
});

test("the count of retired instructions is exact in the middle of a run", () => {
  const bare = fresh(), { hart } = bare, seen: number[] = [];
  bare.code(CODE, NOP16, asm("csrrs", { rd: A0, csr: 0xc02 }), NOP16, NOP16, asm("csrrs", { rd: A0, csr: 0xc02 }), ECALL);
  bare.onSystem = () => seen.push(hart.instret);
  bare.run(CODE, 100);
  assert.equal(seen, [1, 4, 5]);
});

test("leaveSoon ends the wasm run behind the instruction under way, and counts right", () => {
  const bare = fresh(), { hart } = bare;
  bare.code(CODE, asm("csrrs", { rd: A0, csr: 0xc02 }), addi(A0, A0, 1), asm("jal", { imm: -8 }));
  bare.onSystem = () => hart.leaveSoon();
  hart.pc = BASE + CODE;
  assert.is(hart.run(1000), STOP_BUDGET);
  assert.is(hart.instret, 1000);
  assert.is(hart.pc, BASE + CODE + 4 * (1000 % 3));
});

test.run();
