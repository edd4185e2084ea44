// Where things lie in the memory of a differential test, and the bare-metal frame around its random code.
//
//   0x8000_0000  frame: start, trap handler, table of phases       0x8002_8000  32 pages that odd page tables point to
//   0x8000_1000  page tables: of U, of S                           0x8004_8000  random code
//   0x8001_0000  windows that loads and stores go to               0x8020_0000  log
//   0x8002_0000  pool of odd values, read only by habit
//
// The handler gets every trap, logs it with all registers, and goes on behind the instruction. A phase is a stretch of code
// for one privilege: it ends at a known ecall. After the last the machine is switched off.
import { assemble, type Assembled } from "../helpers/assembler.ts";

export const BASE = 0x80000000, TABLES = 0x80001000, WINDOWS = 0x80010000, POOL = 0x80020000, ODD_PAGES = 0x80028000, ODD_COUNT = 32,
  CODE = 0x80048000, CODE_LIMIT = 0x80200000, LOG = 0x80200000, RAM_BYTES = 32 << 20;
/** At the end of memory records are written one over the other. */
const LOG_LIMIT = BASE + RAM_BYTES - 1024;
/** Virtual addresses whose page table entries are random: three L1 entries and two root entries from here. */
export const ODD_VA = 0x80200000;
/**
 * Of the odd pages those that the handler repairs after a page fault of U or S, and then tries again; each time it takes the
 * rights of another away. Entries of Sv39 tables: what is given back, and what is put in place of the other.
 */
export const REPAIR_FIRST = 480, REPAIR_COUNT = 32, REPAIR_STEP = 5;

/**
 * Registers that random code never writes: bases of windows, of the pool, of odd addresses, counters of loops and of loops around
 * them, links of functions.
 */
export const SP = 2, GP = 3, TP = 4, COUNTER = 5, S0 = 8, S1 = 9, OUTER = 18, INNER = 19, LINK = 20, LINK2 = 21;
export const RESERVED: ReadonlySet<number> = new Set([SP, GP, TP, COUNTER, S0, S1, OUTER, INNER, LINK, LINK2]);
export const BASES: Readonly<Record<number, number>> = { [SP]: WINDOWS + 0x1800, [S0]: WINDOWS + 0x4ff8, [S1]: WINDOWS + 0x9804, [GP]: POOL + 2048, [TP]: ODD_VA };
/** Link register of jumps to odd addresses: a fetch fault goes on where it says. */
export const RA = 1;

/** One record of the log: 8-byte words. */
export const R_CAUSE = 0, R_X = 0, R_EPC = 32, R_TVAL = 33, R_STATUS = 34, R_FCSR = 35, R_F = 36, RECORD_WORDS = 68;

export interface Phase {
  readonly privilege: 0 | 1 | 3;
  readonly entry: number;
  /** Address of the ecall that ends it. */
  readonly end: number;
  readonly satp: bigint;
}

const saveAll = (from: number, to: number): string => Array.from({ length: to - from + 1 }, (_, i) => `sd x${from + i}, ${8 * (from + i)}(x31)`).join("\n");
const loadAll = (from: number, to: number): string => Array.from({ length: to - from + 1 }, (_, i) => `ld x${from + i}, ${8 * (from + i)}(x31)`).join("\n");
const saveFloats = Array.from({ length: 32 }, (_, i) => `fsd f${i}, ${8 * (R_F + i)}(x31)`).join("\n");

function phaseWords({ privilege, entry, end, satp }: Phase): string {
  return `.dword ${entry}, ${end}, ${privilege << 11}, 0x${satp.toString(16)}`;
}

/**
 * What the handler does with page faults at the repaired pages: x1 is the cause, x2 where, x31 the log. Registers are saved. The
 * page gets all rights. The page REPAIR_STEP further on gets, by the address of the instruction, none, those of reading, those of
 * execution, or all of them but with A and D clear.
 */
const repair = `
  li x5, 12
  beq x1, x5, paging
  li x5, 13
  beq x1, x5, paging
  li x5, 15
  bne x1, x5, plain
paging:
  csrr x6, mstatus
  srli x6, x6, 11
  andi x6, x6, 3
  addi x6, x6, -3
  beqz x6, plain
  csrr x7, mtval
  srli x8, x7, 21
  li x9, ${ODD_VA / 0x200000}
  bne x8, x9, plain
  srli x7, x7, 12
  andi x7, x7, 511
  addi x7, x7, -${REPAIR_FIRST}
  bltz x7, plain
  csrr x8, satp
  slli x8, x8, 20
  srli x8, x8, 8
  li x9, ${3 * 4096 + 8 * REPAIR_FIRST}
  add x8, x8, x9
  li x10, ${ODD_PAGES >>> 2}
  slli x11, x7, 10
  add x10, x10, x11
  ori x10, x10, 0xcf
  csrr x12, mstatus
  srli x12, x12, 11
  andi x12, x12, 1
  bnez x12, system
  ori x10, x10, 0x10
system:
  slli x11, x7, 3
  add x11, x11, x8
  sd x10, 0(x11)
  addi x7, x7, ${REPAIR_STEP}
  andi x7, x7, ${REPAIR_COUNT - 1}
  slli x11, x7, 3
  add x11, x11, x8
  andi x13, x10, 0xff
  li x10, ${ODD_PAGES >>> 2}
  slli x14, x7, 10
  add x10, x10, x14
  or x13, x13, x10
  srli x14, x2, 1
  andi x14, x14, 3
  li x15, 1
  beq x14, x15, reading
  li x15, 2
  beq x14, x15, executing
  li x15, 3
  beq x14, x15, clean
  j taken
reading:
  andi x13, x13, -13
  ori x13, x13, 2
  j put
executing:
  andi x13, x13, -7
  ori x13, x13, 8
  j put
clean:
  andi x13, x13, -193
  j put
taken:
  andi x13, x13, -2
put:
  sd x13, 0(x11)
  sfence.vma
  j resume
plain:
`;

/** Timer interrupts: the next comes by the address of the interrupted instruction. x1 is the cause, x2 where. */
const tick = `
  bgez x1, exception
  li x3, 0x200bff8
  ld x4, 0(x3)
  srli x5, x2, 1
  andi x5, x5, 31
  add x4, x4, x5
  addi x4, x4, 2
  li x3, 0x2004000
  sd x4, 0(x3)
  j resume
exception:
`;

/** Lets timer interrupts come in every mode, and all modes read counters. */
const startTicks = `
  li x1, 7
  csrw mcounteren, x1
  csrw scounteren, x1
  li x1, 0x2004000
  li x2, 20
  sd x2, 0(x1)
  li x1, 0x80
  csrs mie, x1
`;

/** => the code around the random code; ticks: with timer interrupts, which only two runs of the same machine can have alike */
export function frame(phases: readonly Phase[], ticks: boolean): Assembled {
  const result = assembleFrame(phases, ticks);
  if (result.bytes.length > TABLES - BASE) throw new Error("the frame reaches into the page tables");
  return result;
}

function assembleFrame(phases: readonly Phase[], ticks: boolean): Assembled {
  return assemble(`
start:
  la x1, trap
  csrw mtvec, x1
  li x1, 0x6000
  csrs mstatus, x1
  csrw fcsr, zero
  ${ticks ? startTicks : ""}
  li x1, 0x3fffffffffffff
  csrw pmpaddr0, x1
  li x1, 0x1f
  csrw pmpcfg0, x1
  la x31, log
  ld x31, 0(x31)
  la x1, phases
  la x2, current
  sd x1, 0(x2)
  ${Array.from({ length: 32 }, (_, i) => `fmv.d.x f${i}, zero`).join("\n")}
  ${Array.from({ length: 31 }, (_, i) => `sd zero, ${8 * i}(x31)`).join("\n")}
  ${Object.entries(BASES).map(([r, at]) => `li x1, ${at}\nsd x1, ${8 * Number(r)}(x31)`).join("\n")}
  sd zero, 248(x31)
  j begin
trap:
  csrrw x31, mscratch, x31
  ${saveAll(1, 30)}
  csrr x1, mscratch
  sd x1, 248(x31)
  csrr x1, mcause
  sd x1, 0(x31)
  csrr x2, mepc
  sd x2, ${8 * R_EPC}(x31)
  csrr x3, mtval
  sd x3, ${8 * R_TVAL}(x31)
  csrr x3, mstatus
  sd x3, ${8 * R_STATUS}(x31)
  li x3, 0x6000
  csrs mstatus, x3
  csrr x3, fcsr
  sd x3, ${8 * R_FCSR}(x31)
  ${saveFloats}
  ${ticks ? tick : ""}
  ${repair}
  la x4, current
  ld x4, 0(x4)
  ld x5, 8(x4)
  beq x5, x2, next
  li x5, 1
  beq x1, x5, fetch
  li x5, 12
  beq x1, x5, fetch
  lhu x5, 0(x2)
  andi x5, x5, 3
  addi x2, x2, 2
  addi x5, x5, -3
  bnez x5, resume
  addi x2, x2, 2
  j resume
fetch:
  ld x2, 8(x31)
resume:
  csrw mepc, x2
restore:
  addi x1, x31, ${8 * RECORD_WORDS}
  li x2, ${LOG_LIMIT}
  bltu x1, x2, room
  mv x1, x31
room:
  csrw mscratch, x1
  ${loadAll(1, 30)}
  ld x31, 248(x31)
  mret
next:
  addi x4, x4, 32
  la x5, current
  sd x4, 0(x5)
begin:
  la x4, current
  ld x4, 0(x4)
  ld x2, 0(x4)
  beqz x2, finish
  csrw mepc, x2
  li x1, 0x1800
  csrc mstatus, x1
  li x1, ${ticks ? 0x80 : 0}
  csrs mstatus, x1
  ld x1, 16(x4)
  csrs mstatus, x1
  ld x1, 24(x4)
  csrw satp, x1
  sfence.vma
  j restore
finish:
  la x1, log
  sd x31, 8(x1)
  li x1, 0x100000
  li x2, 0x5555
  sw x2, 0(x1)
stay:
  j stay
.align 3
current: .dword 0
log: .dword ${LOG}, 0
phases:
${phases.map(phaseWords).join("\n")}
.dword 0, 0, 0, 0
`, BASE);
}
