// Numbers of the control and status registers, and the bit layouts that more than one file needs.
//
//   bits 11:10 of a number   11 = read-only
//   bits 9:8                 lowest privilege that may touch it

export const FFLAGS = 0x001, FRM = 0x002, FCSR = 0x003;
export const SSTATUS = 0x100, SIE = 0x104, STVEC = 0x105, SCOUNTEREN = 0x106, SENVCFG = 0x10a, SSCRATCH = 0x140, SEPC = 0x141, SCAUSE = 0x142,
  STVAL = 0x143, SIP = 0x144, STIMECMP = 0x14d, SATP = 0x180;
export const MSTATUS = 0x300, MISA = 0x301, MEDELEG = 0x302, MIDELEG = 0x303, MIE = 0x304, MTVEC = 0x305, MCOUNTEREN = 0x306, MENVCFG = 0x30a,
  MCOUNTINHIBIT = 0x320, MHPMEVENT3 = 0x323, MSCRATCH = 0x340, MEPC = 0x341, MCAUSE = 0x342, MTVAL = 0x343, MIP = 0x344, PMPCFG0 = 0x3a0,
  PMPADDR0 = 0x3b0;
export const TSELECT = 0x7a0, TDATA1 = 0x7a1, TDATA3 = 0x7a3;
export const MCYCLE = 0xb00, MINSTRET = 0xb02, MHPMCOUNTER3 = 0xb03;
export const CYCLE = 0xc00, TIME = 0xc01, INSTRET = 0xc02, HPMCOUNTER3 = 0xc03;
export const MVENDORID = 0xf11, MARCHID = 0xf12, MIMPID = 0xf13, MHARTID = 0xf14, MCONFIGPTR = 0xf15;

export const PRIV_U = 0, PRIV_S = 1, PRIV_M = 3;

// mstatus, low word. FS lies with the floating-point state; UXL and SXL (high word) are fixed at 64 bits; SD is derived.
export const MSTATUS_SIE = 1 << 1, MSTATUS_MIE = 1 << 3, MSTATUS_SPIE = 1 << 5, MSTATUS_MPIE = 1 << 7, MSTATUS_SPP = 1 << 8, MSTATUS_MPP = 3 << 11,
  MSTATUS_FS = 3 << 13, MSTATUS_MPRV = 1 << 17, MSTATUS_SUM = 1 << 18, MSTATUS_MXR = 1 << 19, MSTATUS_TVM = 1 << 20, MSTATUS_TW = 1 << 21,
  MSTATUS_TSR = 1 << 22;
export const MPP_SHIFT = 11, SPP_SHIFT = 8, FS_SHIFT = 13;
/** What of mstatus sstatus shows and lets be written, besides FS; UXL of its high word. */
export const SSTATUS_WRITABLE = MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SUM | MSTATUS_MXR, UXL_64 = 2;

// Interrupt bits of mip and mie; the exponent is the cause.
export const IRQ_SSI = 1, IRQ_MSI = 3, IRQ_STI = 5, IRQ_MTI = 7, IRQ_SEI = 9, IRQ_MEI = 11;

// Exception causes.
export const CAUSE_FETCH_MISALIGNED = 0, CAUSE_FETCH_ACCESS = 1, CAUSE_ILLEGAL = 2, CAUSE_BREAKPOINT = 3, CAUSE_LOAD_MISALIGNED = 4, CAUSE_LOAD_ACCESS = 5,
  CAUSE_STORE_MISALIGNED = 6, CAUSE_STORE_ACCESS = 7, CAUSE_ECALL_U = 8, CAUSE_ECALL_S = 9, CAUSE_ECALL_M = 11, CAUSE_FETCH_PAGE = 12,
  CAUSE_LOAD_PAGE = 13, CAUSE_STORE_PAGE = 15;

const NAMES: Readonly<Record<number, string>> = {
  [FFLAGS]: "fflags", [FRM]: "frm", [FCSR]: "fcsr", [SSTATUS]: "sstatus", [SIE]: "sie", [STVEC]: "stvec", [SCOUNTEREN]: "scounteren",
  [SENVCFG]: "senvcfg", [SSCRATCH]: "sscratch", [SEPC]: "sepc", [SCAUSE]: "scause", [STVAL]: "stval", [SIP]: "sip", [STIMECMP]: "stimecmp",
  [SATP]: "satp", [MSTATUS]: "mstatus", [MISA]: "misa", [MEDELEG]: "medeleg", [MIDELEG]: "mideleg", [MIE]: "mie", [MTVEC]: "mtvec",
  [MCOUNTEREN]: "mcounteren", [MENVCFG]: "menvcfg", [MCOUNTINHIBIT]: "mcountinhibit", [MSCRATCH]: "mscratch", [MEPC]: "mepc", [MCAUSE]: "mcause",
  [MTVAL]: "mtval", [MIP]: "mip", [TSELECT]: "tselect", [MCYCLE]: "mcycle", [MINSTRET]: "minstret", [CYCLE]: "cycle", [TIME]: "time",
  [INSTRET]: "instret", [MVENDORID]: "mvendorid", [MARCHID]: "marchid", [MIMPID]: "mimpid", [MHARTID]: "mhartid", [MCONFIGPTR]: "mconfigptr",
};

/** The name a disassembler and a debugger show. */
export function csrName(n: number): string {
  const known = NAMES[n];
  if (known !== undefined) return known;
  if (n >= PMPADDR0 && n < PMPADDR0 + 16) return `pmpaddr${n - PMPADDR0}`;
  if (n >= PMPCFG0 && n < PMPCFG0 + 4) return `pmpcfg${n - PMPCFG0}`;
  if (n >= MHPMCOUNTER3 && n < MHPMCOUNTER3 + 29) return `mhpmcounter${n - MHPMCOUNTER3 + 3}`;
  if (n >= HPMCOUNTER3 && n < HPMCOUNTER3 + 29) return `hpmcounter${n - HPMCOUNTER3 + 3}`;
  if (n >= MHPMEVENT3 && n < MHPMEVENT3 + 29) return `mhpmevent${n - MHPMEVENT3 + 3}`;
  return `0x${n.toString(16)}`;
}
