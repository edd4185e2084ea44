// What the integer instructions do, written again from the specification's prose in BigInt, for the tests alone: plain
// and slow, and nothing taken from emu/isa.

export const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
export const s64 = (v: bigint): bigint => BigInt.asIntN(64, v);
const u32 = (v: bigint): bigint => BigInt.asUintN(32, v);
const s32 = (v: bigint): bigint => BigInt.asIntN(32, v);

/** Result for two operands; of register-immediate forms b is the sign-extended immediate, or the shift amount. */
type Model = (a: bigint, b: bigint) => bigint;

/** Division that truncates, by the table of the M chapter. */
function divide(a: bigint, b: bigint): bigint {
  return b === 0n ? -1n : a / b;
}

function remainder(a: bigint, b: bigint): bigint {
  return b === 0n ? a : a % b;
}

/** Bit i of a 64-bit number. */
const bitAt = (v: bigint, i: number): boolean => ((u64(v) >> BigInt(i)) & 1n) === 1n;
/** How many of the bits from `start` on, in direction `step`, are 0 before the first 1. */
function zeros(v: bigint, width: number, start: number, step: number): bigint {
  let n = 0;
  while (n < width && !bitAt(v, start + step * n)) n++;
  return BigInt(n);
}

const ones = (v: bigint): bigint => BigInt(u64(v).toString(2).replaceAll("0", "").length);
const rotateLeft = (v: bigint, by: bigint, width: bigint): bigint => {
  const low = BigInt.asUintN(Number(width), v), n = by % width;
  return BigInt.asUintN(Number(width), (low << n) | (low >> (width - n)));
};

function mapBytes(v: bigint, f: (byte: bigint, i: number) => [bigint, number]): bigint {
  let out = 0n;
  for (let i = 0; i < 8; i++) {
    const [byte, at] = f((u64(v) >> BigInt(8 * i)) & 255n, i);
    out |= byte << BigInt(8 * at);
  }
  return out;
}

const amount = (b: bigint): bigint => b & 63n, amount32 = (b: bigint): bigint => b & 31n;
const flag = (b: boolean): bigint => (b ? 1n : 0n);

/** By the name of the row; `xi` stands for the immediate form `x`, added below. */
const registerForms: Record<string, Model> = {
  add: (a, b) => a + b, sub: (a, b) => a - b, and: (a, b) => a & b, or: (a, b) => a | b, xor: (a, b) => a ^ b,
  sll: (a, b) => a << amount(b), srl: (a, b) => u64(a) >> amount(b), sra: (a, b) => s64(a) >> amount(b),
  slt: (a, b) => flag(s64(a) < s64(b)), sltu: (a, b) => flag(u64(a) < u64(b)),
  addw: (a, b) => s32(a + b), subw: (a, b) => s32(a - b), sllw: (a, b) => s32(a << amount32(b)), srlw: (a, b) => s32(u32(a) >> amount32(b)),
  sraw: (a, b) => s32(a) >> amount32(b),
  mul: (a, b) => a * b, mulh: (a, b) => (s64(a) * s64(b)) >> 64n, mulhu: (a, b) => (u64(a) * u64(b)) >> 64n, mulhsu: (a, b) => (s64(a) * u64(b)) >> 64n,
  mulw: (a, b) => s32(a * b),
  div: (a, b) => divide(s64(a), s64(b)), divu: (a, b) => divide(u64(a), u64(b)), rem: (a, b) => remainder(s64(a), s64(b)), remu: (a, b) => remainder(u64(a), u64(b)),
  divw: (a, b) => s32(divide(s32(a), s32(b))), divuw: (a, b) => s32(divide(u32(a), u32(b))), remw: (a, b) => s32(remainder(s32(a), s32(b))),
  remuw: (a, b) => s32(remainder(u32(a), u32(b))),
  "czero.eqz": (a, b) => (b === 0n ? 0n : a), "czero.nez": (a, b) => (b === 0n ? a : 0n),
  sh1add: (a, b) => a * 2n + b, sh2add: (a, b) => a * 4n + b, sh3add: (a, b) => a * 8n + b, "add.uw": (a, b) => u32(a) + b,
  "sh1add.uw": (a, b) => u32(a) * 2n + b, "sh2add.uw": (a, b) => u32(a) * 4n + b, "sh3add.uw": (a, b) => u32(a) * 8n + b,
  andn: (a, b) => a & ~b, orn: (a, b) => a | ~b, xnor: (a, b) => ~(a ^ b),
  max: (a, b) => (s64(a) > s64(b) ? a : b), maxu: (a, b) => (u64(a) > u64(b) ? a : b), min: (a, b) => (s64(a) < s64(b) ? a : b), minu: (a, b) => (u64(a) < u64(b) ? a : b),
  rol: (a, b) => rotateLeft(a, amount(b), 64n), ror: (a, b) => rotateLeft(a, (64n - amount(b)) % 64n, 64n),
  rolw: (a, b) => s32(rotateLeft(a, amount32(b), 32n)), rorw: (a, b) => s32(rotateLeft(a, (32n - amount32(b)) % 32n, 32n)),
  bclr: (a, b) => a & ~(1n << amount(b)), bext: (a, b) => (u64(a) >> amount(b)) & 1n, binv: (a, b) => a ^ (1n << amount(b)), bset: (a, b) => a | (1n << amount(b)),
};

const immediateNames: Record<string, string> = {
  addi: "add", slti: "slt", sltiu: "sltu", xori: "xor", ori: "or", andi: "and", slli: "sll", srli: "srl", srai: "sra", addiw: "addw", slliw: "sllw",
  srliw: "srlw", sraiw: "sraw", rori: "ror", roriw: "rorw", bclri: "bclr", bexti: "bext", binvi: "binv", bseti: "bset",
};

const unaryForms: Record<string, Model> = {
  clz: (a) => zeros(a, 64, 63, -1), ctz: (a) => zeros(a, 64, 0, 1), cpop: (a) => ones(a), clzw: (a) => zeros(a, 32, 31, -1), ctzw: (a) => zeros(a, 32, 0, 1),
  cpopw: (a) => ones(u32(a)), "sext.b": (a) => BigInt.asIntN(8, a), "sext.h": (a) => BigInt.asIntN(16, a), "zext.h": (a) => BigInt.asUintN(16, a),
  "orc.b": (a) => mapBytes(a, (byte, i) => [byte === 0n ? 0n : 255n, i]), rev8: (a) => mapBytes(a, (byte, i) => [byte, 7 - i]),
};

export const models: ReadonlyMap<string, Model> = new Map<string, Model>([
  ...Object.entries(registerForms), ...Object.entries(unaryForms), ...Object.entries(immediateNames).map(([name, of]) => [name, registerForms[of]!] as const),
  ["slli.uw", (a, b) => u32(a) << amount(b)],
  ["lui", (_a, b) => b],
]);

/** Whether a branch is taken. */
export const branches: Readonly<Record<string, (a: bigint, b: bigint) => boolean>> = {
  beq: (a, b) => a === b, bne: (a, b) => a !== b, blt: (a, b) => s64(a) < s64(b), bge: (a, b) => s64(a) >= s64(b), bltu: (a, b) => u64(a) < u64(b), bgeu: (a, b) => u64(a) >= u64(b),
};

/** What an AMO leaves in memory, of values in the width of the operation. */
export function atomic(name: string, bits: 32 | 64, old: bigint, operand: bigint): bigint {
  const s = (v: bigint) => BigInt.asIntN(bits, v), u = (v: bigint) => BigInt.asUintN(bits, v);
  switch (name) {
    case "amoswap": return u(operand);
    case "amoadd": return u(old + operand);
    case "amoxor": return u(old ^ operand);
    case "amoand": return u(old & operand);
    case "amoor": return u(old | operand);
    case "amomin": return u(s(old) < s(operand) ? old : operand);
    case "amomax": return u(s(old) > s(operand) ? old : operand);
    case "amominu": return u(old) < u(operand) ? u(old) : u(operand);
    case "amomaxu": return u(old) > u(operand) ? u(old) : u(operand);
    default: throw new Error(`no model of ${name}`);
  }
}

/** Operands at the edges of words and doublewords, and a few with no pattern. */
export const edges: readonly bigint[] = [
  0n, 1n, 2n, 31n, 32n, 63n, 64n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x123456789abcdef0n,
  0x7fffffffffffffffn, 0x8000000000000000n, 0xffffffff80000000n, 0xffffffffffffffffn, 0xfffffffffffffffen, 0x0080ff0100007f00n, 0xdeadbeefcafebaben,
];
