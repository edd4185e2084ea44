// What generated code asks of TypeScript. Arguments and results are i32; 64-bit values travel through the hart's block
// (layout.ts). PC and IP are exact in each call; INSTRET counts the instructions before the one that calls.

/** Kinds of access: size in bytes in the low bits, and what it wants. */
export const KIND_LOAD = 0x10, KIND_STORE = 0x20, KIND_AMO = 0x40, KIND_LR = 0x80, KIND_SIZE = 15;
/** Of dataMiss: the refill walked, and found that a page fault is due. */
export const KIND_UNMAPPED_SHIFT = 8, KIND_UNMAPPED = 1 << KIND_UNMAPPED_SHIFT;
/** Of several accesses at once (never in dataMiss), the bytes from the first to the last are above this bit, and KIND_SIZE is 0. */
export const GROUP_SIZE_SHIFT = 8;

/** Answers of dataMiss. RETRY: the TLB holds the page now. DONE: a store was done. AT: go on at the offset in SCRATCH_AT. TRAP: see raise. */
export const SLOW_RETRY = 0, SLOW_DONE = 1, SLOW_AT = 2, SLOW_TRAP = 3;

/** Answers of system. NEXT: go on behind the instruction. JUMP: go on at PC. LEAVE: at PC, leave the run loop. TRAP: nothing retired. */
export const SYS_NEXT = 0, SYS_JUMP = 1, SYS_LEAVE = 2, SYS_TRAP = 3;

export interface Cold {
  /**
   * An access that neither the TLB answers nor its refill (mmu/refill.ts): a page fault, A or D to set, MMIO, across pages, or a store to a
   * page with decoded code.
   *
   * => kind: may hold KIND_UNMAPPED; va in SCRATCH_VA; the value of a store in SCRATCH_VALUE
   * => SLOW_RETRY, SLOW_AT with the host offset of the bytes (SCRATCH_VALUE's own after a load that was done here),
   *    SLOW_DONE for a store that was done here, SLOW_TRAP after raise()
   */
  dataMiss(kind: number): number;
  /** Makes the fetch TLB hold the page of PC. => 0, or SLOW_TRAP after raise() */
  fetchMiss(): number;
  /** The fetch TLB's page of PC + 2, for an instruction across two pages. => its host offset, or -1 after raise() */
  fetchSecond(): number;
  /** CSR instructions, xRET, WFI, fences. => SYS_* */
  system(insn: number, lenBytes: number): number;
  /** A trap of the instruction at PC with a 64-bit tval. */
  raise(cause: number, tvalLo: number, tvalHi: number): void;
}

export const CAUSE_FETCH_MISALIGNED = 0, CAUSE_FETCH_ACCESS = 1, CAUSE_ILLEGAL = 2, CAUSE_BREAKPOINT = 3, CAUSE_LOAD_MISALIGNED = 4,
  CAUSE_LOAD_ACCESS = 5, CAUSE_STORE_MISALIGNED = 6, CAUSE_STORE_ACCESS = 7, CAUSE_ECALL_U = 8, CAUSE_ECALL_S = 9, CAUSE_ECALL_M = 11,
  CAUSE_FETCH_PAGE = 12, CAUSE_LOAD_PAGE = 13, CAUSE_STORE_PAGE = 15;
