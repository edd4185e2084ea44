// Atomics, fences, CSR instructions and the privileged instructions.
import { CAUSE_BREAKPOINT, KIND_AMO, KIND_LR } from "../hart/cold.ts";
import { FS_SHIFT, MSTATUS_SIE, SSTATUS, SSTATUS_WRITABLE, UXL_64 } from "../hart/csrnum.ts";
import { FFLAGS, FRM, FS, RESERVATION, RESERVED_VALUE, SIE_OPEN, STATUS } from "../hart/layout.ts";
import type { Op } from "../jit/wasm.ts";
import type { Builder, Row, Semantics, V } from "./builder.ts";
import { FS_DIRTY, setFloatFlags } from "./floatflags.ts";

const AMO = 0xf800707f | 0, LR = 0xf9f0707f | 0, EXACT = -1;

type Combine = (c: Builder, old: V, operand: V, type: "i32" | "i64") => V;

const loadOp = (size: 4 | 8) => (size === 4 ? "i64.load32_s" : "i64.load") as "i64.load32_s" | "i64.load";
const storeOp = (size: 4 | 8) => (size === 4 ? "i64.store32" : "i64.store") as "i64.store32" | "i64.store";

/** Both sizes of one atomic operation. The acquire and release bits order nothing more on one hart. */
function amo(name: string, funct5: number, combine: Combine): Row[] {
  return ([4, 8] as const).map((size) => ({
    name: `${name}.${size === 4 ? "w" : "d"}`, match: (funct5 << 27) | (size === 4 ? 0x202f : 0x302f), mask: AMO, args: "rd,rs2,(rs1)", ext: "a",
    sem: (c: Builder) => {
      const place = c.place(c.x("rs1"), size, KIND_AMO), old = c.let(c.at(loadOp(size), place));
      c.putAt(storeOp(size), place, combine(c, old, c.x("rs2"), size === 4 ? "i32" : "i64"));
      c.setX(old);
    },
  }));
}

const plain = (op: Op): Combine => (c, old, operand) => c.op(op, old, operand);

/** Minimum and maximum compare 32-bit words as words. */
const choose = (order: "lt_s" | "lt_u" | "gt_s" | "gt_u"): Combine => (c, old, operand, type) => {
  const value = c.let(operand), narrow = (v: V) => (type === "i32" ? c.op("i32.wrap_i64", v) : v);
  return c.select(c.op(`${type}.${order}` as Op, narrow(old), narrow(value)), old, value);
};

function lr(size: 4 | 8): Semantics {
  return (c) => {
    const place = c.place(c.x("rs1"), size, KIND_LR), value = c.let(c.at(loadOp(size), place));
    c.setField("i32.store", RESERVATION, place);
    c.setField("i64.store", RESERVED_VALUE, value);
    c.setX(value);
  };
}

/** A store by anyone else shows as another value, or through a reservation that was cleared. */
function sc(size: 4 | 8): Semantics {
  return (c) => {
    const place = c.place(c.x("rs1"), size, KIND_AMO);
    const same = c.op("i32.and", c.op("i32.eq", c.field("i32.load", RESERVATION), place), c.op("i64.eq", c.field("i64.load", RESERVED_VALUE), c.at(loadOp(size), place)));
    c.when(same, () => {
      c.putAt(storeOp(size), place, c.x("rs2"));
      c.setX(c.i64(0n));
    }, () => c.setX(c.i64(1n)));
    c.setField("i32.store", RESERVATION, c.i32(0));
  };
}

const atomicRows: Row[] = [
  { name: "lr.w", match: 0x1000202f, mask: LR, args: "rd,(rs1)", ext: "a", sem: lr(4) },
  { name: "lr.d", match: 0x1000302f, mask: LR, args: "rd,(rs1)", ext: "a", sem: lr(8) },
  { name: "sc.w", match: 0x1800202f, mask: AMO, args: "rd,rs2,(rs1)", ext: "a", sem: sc(4) },
  { name: "sc.d", match: 0x1800302f, mask: AMO, args: "rd,rs2,(rs1)", ext: "a", sem: sc(8) },
  ...amo("amoswap", 1, (_c, _old, operand) => operand), ...amo("amoadd", 0, plain("i64.add")), ...amo("amoxor", 4, plain("i64.xor")),
  ...amo("amoand", 12, plain("i64.and")), ...amo("amoor", 8, plain("i64.or")), ...amo("amomin", 16, choose("lt_s")),
  ...amo("amomax", 20, choose("gt_s")), ...amo("amominu", 24, choose("lt_u")), ...amo("amomaxu", 28, choose("gt_u")),
];

const cold = (name: string, match: number, mask: number, args: string, ext = "zicsr"): Row => ({ name, match, mask, args, ext, sem: (c) => c.system() });

const FFLAGS_CSR = 1, FRM_CSR = 2, FCSR = 3;
/** The high word of sstatus, in place. */
const UXL = BigInt(UXL_64) << 32n, SD = 1n << 63n;
type CsrOp = "write" | "set" | "clear";

/** fflags, frm and fcsr, where the instruction is known: numeric code saves and restores them in its loops. */
function floatCsr(c: Builder, n: number, op: CsrOp, operand: V, writes: boolean): void {
  c.needFloat();
  const flags = c.let(c.field("i32.load", FFLAGS)), mode = c.let(c.field("i32.load", FRM)), value = c.let(operand);
  const old = c.let(n === FFLAGS_CSR ? flags : n === FRM_CSR ? mode : c.op("i32.or", c.op("i32.shl", mode, c.i32(5)), flags));
  if (writes) {
    const next = c.let(op === "write" ? value : op === "set" ? c.op("i32.or", old, value) : c.op("i32.and", old, c.op("i32.xor", value, c.i32(-1))));
    const newFlags = n === FRM_CSR ? flags : c.let(c.op("i32.and", next, c.i32(31)));
    const newMode = n === FFLAGS_CSR ? mode : c.let(c.op("i32.and", n === FCSR ? c.op("i32.shr_u", next, c.i32(5)) : next, c.i32(7)));
    c.setField("i32.store", FRM, newMode);
    setFloatFlags(c, newFlags, newMode);
  }
  c.setX(c.op("i64.extend_i32_u", old));
}

/**
 * sstatus, where no more than SIE changes: kernels switch interrupts off and on everywhere. What else it may be, and what lets an interrupt in,
 * is TypeScript's.
 */
function switchSie(c: Builder, isKnown: boolean, op: "set" | "clear", immediate: boolean): void {
  const value = c.let(immediate ? c.op("i32.and", c.op("i32.shr_u", c.imm32(), c.i32(15)), c.i32(31)) : c.w("rs1"));
  const open = c.field("i32.load", SIE_OPEN), isOpen = op === "set" ? c.op("i32.shr_u", open, c.i32(1)) : c.op("i32.and", open, c.i32(1));
  const mayDo = c.op("i32.and", isOpen, c.op("i32.eqz", c.op("i32.and", value, c.i32(~MSTATUS_SIE))));
  c.when(isKnown ? mayDo : c.op("i32.and", mayDo, c.op("i32.eq", c.op("i32.shr_u", c.imm32(), c.i32(20)), c.i32(SSTATUS))), () => {
    const status = c.let(c.field("i32.load", STATUS)), fs = c.let(c.field("i32.load", FS));
    const low = c.op("i32.or", c.op("i32.and", status, c.i32(SSTATUS_WRITABLE)), c.op("i32.shl", fs, c.i32(FS_SHIFT)));
    const high = c.select(c.op("i32.eq", fs, c.i32(FS_DIRTY)), c.i64(BigInt.asIntN(64, SD | UXL)), c.i64(UXL));
    c.setField("i32.store", STATUS, op === "set" ? c.op("i32.or", status, value) : c.op("i32.and", status, c.op("i32.xor", value, c.i32(-1))));
    c.setX(c.op("i64.or", c.op("i64.extend_i32_u", low), high));
  }, () => c.system());
}

/** A CSR instruction: TypeScript's, but for the floating-point ones where their number is known, and for interrupts off and on. */
const csr = (name: string, funct3: number, op: CsrOp, immediate: boolean): Row => ({
  name, match: 0x73 | (funct3 << 12), mask: 0x707f, args: immediate ? "rd,csr,zimm" : "rd,csr,rs1", ext: "zicsr",
  sem: (c) => {
    const known = c.csr();
    if (op !== "write" && (known === null || known.number === SSTATUS)) return switchSie(c, known !== null, op, immediate);
    if (known === null || !isFloatCsr(known.number)) return c.system();
    floatCsr(c, known.number, op, immediate ? c.i32(known.source) : c.w("rs1"), op === "write" || known.source !== 0);
  },
});

export const isFloatCsr = (n: number): boolean => n >= FFLAGS_CSR && n <= FCSR;

const systemRows: Row[] = [
  // One hart: memory is in program order, and devices answer at once.
  { name: "fence", match: 0x0f, mask: 0x707f, args: "fence", ext: "i", sem: () => {} },
  // Stores to code are seen at once: they leave translated code, and records and translations go with them.
  { name: "fence.i", match: 0x100f, mask: 0x707f, args: "", ext: "zifencei", sem: () => {} },
  cold("ecall", 0x73, EXACT, "", "i"),
  { name: "ebreak", match: 0x100073, mask: EXACT, args: "", ext: "i", sem: (c) => c.trap(CAUSE_BREAKPOINT, c.pc()) },
  csr("csrrw", 1, "write", false), csr("csrrs", 2, "set", false), csr("csrrc", 3, "clear", false),
  csr("csrrwi", 5, "write", true), csr("csrrsi", 6, "set", true), csr("csrrci", 7, "clear", true),
  cold("mret", 0x30200073, EXACT, "", "s"), cold("sret", 0x10200073, EXACT, "", "s"), cold("wfi", 0x10500073, EXACT, "", "s"),
  cold("sfence.vma", 0x12000073, 0xfe007fff | 0, "rs1,rs2", "s"),
];

export const systemInstructionRows: readonly Row[] = [...atomicRows, ...systemRows];
