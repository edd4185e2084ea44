// The layout of machine memory. One WebAssembly.Memory holds everything hot; generated code addresses it by these
// byte offsets, TypeScript by typed arrays over the same bytes.
//
//   0          hart blocks            HART_STRIDE each: registers, pc, counters, what generated code reads of the CSRs
//   TLB_BASE   TLB banks              16 contexts per hart: BANK_STRIDE each: data entries, then fetch entries
//   CODE_BASE  predecoded code        CODE_SLOTS pages of instruction records
//   ENTRY_OF   entries                a u16 for each record: the cell of the translated code that begins there
//   CELLS      entry cells            ENTRY_CELLS of CELL bytes
//   REFILL     the TLB's refill       REFILL_STRIDE per hart: what mmu/refill.ts and TypeScript share
//   PAGE_MARKS marks of RAM pages     a byte for each: what refill may grant of it
//   RAM_OFFSET guest RAM              64 KiB aligned; offset = pa - RAM_PA + RAM_OFFSET
//
// A hart's block
//   x0..x31 at 0, a sink for writes to x0 at 256, f0..f31 at 264, then the fields below.

export const RAM_PA = 0x80000000;
export const MAX_HARTS = 1;

export const HART_STRIDE = 4096;
/** Block of hart 0: past the first 4 KiB, so that offset 0 is never valid. */
export const HART_BASE = 4096;
/** x registers: 8 bytes each. Writes to x0 go to X_SINK. */
export const X0 = 0, X_SINK = 256, F0 = 264;
/** i64 program counter. Exact whenever TypeScript runs. */
export const PC = 528;
/** i64 retired instructions, exact whenever TypeScript runs. */
export const INSTRET = 536;
/** i32 instructions left of the current budget. */
export const LEFT = 544;
/** i32 fflags, i32 frm, i32 mstatus.FS. */
export const FFLAGS = 548, FRM = 552, FS = 556;
/** i32 1 when the wasm operation alone may be used with rounding mode RNE: NX is already set. */
export const FP_FAST_RNE = 560;
/** The same for the dynamic rounding mode: NX set and frm is RNE. */
export const FP_FAST_DYN = 564;
/** i64 the operand address of a slow access; the value of a slow load or store; raw instruction bits for `system`. */
export const SCRATCH_VA = 568, SCRATCH_VALUE = 576;
/** i32 host offset through which a slow access of answer SLOW_AT goes on. */
export const SCRATCH_AT = 584;
/** LR reservation: i32 host offset (0 none), i64 the value that was loaded. */
export const RESERVATION = 588, RESERVED_VALUE = 592;
/** i32 base of the data entries of the current data context, and of the fetch entries of the current fetch context. */
export const DATA_BANK = 600, FETCH_BANK = 604;
/** i32 record pointer of the instruction that runs; i32 base of its page's records; i64 va of its page. */
export const IP = 608, CODE_PAGE = 612, PAGE_VA = 616;
/** i64 slots for cold floating point: three operands, a result; i32 rounding mode. */
export const FP_A = 624, FP_B = 632, FP_C = 640, FP_RESULT = 648, FP_RM = 656;
/** i32 the epoch of the code that is mapped; see jit/engine.ts. i32 1: the record at IP was jumped to often enough. */
export const EPOCH = 660, HOT_FLAG = 664;
/** i32 1: some page slot was filled since all were emptied. */
export const SLOTS_USED = 668;
/**
 * Page slots: the page of the last access that looked into one. For each base register there are one for loads and one for stores,
 * and behind those some that loops have for theirs. A column of i64 addresses of pages, and one of i32: what leads from the low
 * word of an address to the host offset. They hold what the data TLB may hold, and are emptied when it forgets anything.
 */
export const PAGE_SLOT_COUNT = 256, LOOP_SLOTS = 64, SLOT_PAGES = 1024, SLOT_ADDENDS = SLOT_PAGES + 8 * PAGE_SLOT_COUNT;
/** Both words of an empty slot: odd, as no address of a page is. */
export const NO_PAGE = 1;
/** i64 instructions that retired in translated code. */
export const TRANSLATED = 672;
/** i32 mstatus without FS and what is fixed. i32 what generated code may do to its SIE by itself: bit 0, clear it; bit 1, set it. */
export const STATUS = 680, SIE_OPEN = 684;

/**
 * Data TLB: 4096 entries of 32 bytes: i64 read tag, i64 write tag, i32 host offset of the page; i32 low word of the PTE, i32 1 when the slot
 * is listed as filled, i32 level of the leaf.
 */
export const DATA_ENTRIES = 4096, DATA_ENTRY = 32, TAG_READ = 0, TAG_WRITE = 8, HOST_PAGE = 16, ENTRY_PTE = 20, ENTRY_LISTED = 24, ENTRY_LEVEL = 28;
/** Fetch TLB: 2048 entries of 16 bytes, so that the 13 MiB of a kernel's text do not push each other out: i64 tag, i32 base of the page's records. */
export const FETCH_ENTRIES = 2048, FETCH_ENTRY = 16, FETCH_RECORDS = 8;
/** A tag that equals no address of a page. */
export const NO_TAG = -1;
/**
 * Low word of a tag, of the data entry in a place, that no address which looks there is within 4 KiB behind; the high word is 0. It is
 * of a page that belongs half the table away, and odd, by which it is known.
 */
export const noTag = (place: number): number => ((place ^ (DATA_ENTRIES / 2)) << 12) | 1;
export const CONTEXTS = 16;
export const FETCH_IN_BANK = DATA_ENTRIES * DATA_ENTRY;
export const BANK_STRIDE = FETCH_IN_BANK + FETCH_ENTRIES * FETCH_ENTRY;
export const TLB_BASE = 65536;

/**
 * Records of one code page: one of 16 bytes for each halfword, and two sentinels for running off the end.
 *
 *   +0 u16 operation   +2 u16 extra: offset of the fast flag of a rounding mode, else the place in the page
 *   +4 u16 rd          +6 u16 rs1    +8 u16 rs2    (byte offsets into the hart block)
 *   +10 u16 how often it was jumped to; stays when the record is decoded anew
 *   +12 i32 immediate; of branches and jal: distance to the target in record bytes (8 for each byte of code); of instructions with
 *       rs3: u16 rounding mode, u16 rs3
 */
export const RECORD = 16, REC_OP = 0, REC_EXTRA = 2, REC_PLACE = 2, REC_RD = 4, REC_RS1 = 6, REC_RS2 = 8, REC_COUNT = 10, REC_IMM = 12,
  REC_RS3 = 14;
export const PAGE_RECORDS = 2048, PAGE_RECORD_BYTES = PAGE_RECORDS * RECORD, CODE_SLOT = PAGE_RECORD_BYTES + 2 * RECORD;
/** Enough for the code of a large kernel; memory that is not used is not there. */
export const CODE_SLOTS = 3072;
export const CODE_BASE = TLB_BASE + MAX_HARTS * CONTEXTS * BANK_STRIDE;
const RECORD_WORDS = (CODE_SLOTS * CODE_SLOT) / 8;
/** Addressed by record pointer / 8: subtract CODE_BASE / 8. */
export const ENTRY_OF = CODE_BASE + CODE_SLOTS * CODE_SLOT, ENTRY_OF_BIAS = ENTRY_OF - CODE_BASE / 8;

/**
 * Cells of translated code's entries.
 *
 *   +0 i32 stamp: the epoch for which its pages are known to be mapped as when it was translated    +4 i32 slot of the function table
 *   +8 i32 need: instructions that must be left to enter                                              +12 i32 operation of the record
 *   +16 i64 pc                                                                                        +24 i32 entry number << DEPTH_BITS
 */
export const ENTRY_CELLS = 16384, CELL = 32, CELL_STAMP = 0, CELL_SLOT = 4, CELL_NEED = 8, CELL_OP = 12, CELL_PC = 16, CELL_ENTRY = 24;
export const CELLS = (ENTRY_OF + RECORD_WORDS + 63) & ~63;

/**
 * The refill of a hart's data TLB. First the context that it fills for, set with DATA_BANK:
 *
 *   +0 i32 how far an address is shifted for its index into the root table; 0: every miss is TypeScript's    +4 i32 RAM page of the root
 *   +8 i32 the context    +12 i32 the age of tables that are kept
 *   +16 i32 mask and +20 i32 value that a PTE must have under it for a load; +24, +28 the same for a store
 *   +32 i64 entries filled    +40 i64 of these, those that were walked from a kept table
 */
export const REFILL_SHIFT = 0, REFILL_ROOT = 4, REFILL_CONTEXT = 8, REFILL_AGE = 12, REFILL_LOADS = 16, REFILL_STORES = 24, REFILL_FILLS = 32, REFILL_SHORT = 40;
/** Tables of 4 KiB leaves that are kept, by bits 21 to 26 of the address: i32 bits 21 to 52 of it, i32 age, i32 RAM page of the table. */
export const KEPT_TABLES = 64, KEPT_TABLE = 16, KEPT_AGE = 4, KEPT_PAGE = 8, REFILL_KEPT = 64;
/** By context: superpages that the TLB knows it has fragments of, by the low bits of their number: i64 number << 6 | shift, 0 none. */
export const KNOWN_SUPERS = 256, REFILL_SUPERS = REFILL_KEPT + KEPT_TABLES * KEPT_TABLE;
/** By context: the slots of the data TLB that were filled (u16, in order), how many (i32), and whether one is global (u8, not 0). */
export const REFILL_FILLED = REFILL_SUPERS + CONTEXTS * KNOWN_SUPERS * 8, REFILL_COUNTS = REFILL_FILLED + CONTEXTS * DATA_ENTRIES * 2,
  REFILL_GLOBAL = REFILL_COUNTS + CONTEXTS * 4;
export const REFILL_STRIDE = (REFILL_GLOBAL + CONTEXTS + 63) & ~63;
export const REFILL = (CELLS + ENTRY_CELLS * CELL + 63) & ~63;

/** What refill may grant of a RAM page: PMP_R and PMP_W where S and U have it of all of the page, and nobody has to see stores. As many as memory can have pages. */
export const PAGE_MARKS = REFILL + MAX_HARTS * REFILL_STRIDE, MARKS_MAX = 2 ** 20;
export const RAM_OFFSET = (PAGE_MARKS + MARKS_MAX + 65535) & ~65535;

/** Bytes of WebAssembly memory for a machine with `ramBytes` of RAM. */
export function memoryBytes(ramBytes: number): number {
  return RAM_OFFSET + ramBytes;
}
