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
/** Virtual addresses whose page table entries are random: three L1 entries and two root entries from here. */
export const ODD_VA = 0x80200000;

/** Registers that random code never writes: bases of windows, of the pool, of odd addresses, and counters of loops and of loops around them. */
export const SP = 2, GP = 3, TP = 4, COUNTER = 5, S0 = 8, S1 = 9, OUTER = 18;
export const RESERVED: ReadonlySet<number> = new Set([SP, GP, TP, COUNTER, S0, S1, OUTER]);
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

/** The code around the random code. */
export function frame(phases: readonly Phase[]): Assembled {
  return assemble(`
start:
  la x1, trap
  csrw mtvec, x1
  li x1, 0x6000
  csrs mstatus, x1
  csrw fcsr, zero
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
