// Pairs of instructions that the interpreter does as one operation: each against its two instructions one by one.
import { firstLength, FAST_OP_COUNT, pairs } from "../../../emu/hart/fusion.ts";
import { STOP_TRAP } from "../../../emu/hart/hart.ts";
import { CODE_BASE, RAM_PA, RECORD, TLB_BASE } from "../../../emu/hart/layout.ts";
import { OP_COUNT, OP_DECODE, opInstruction } from "../../../emu/hart/ops.ts";
import { decode, isCompressed, newDecoded, rows } from "../../../emu/isa/table.ts";
import { encodeRow } from "../../helpers/asm.ts";
import { BareHart } from "../../helpers/barehart.ts";
import { assert, suite } from "../../helpers/suite.ts";
import { Random } from "../../diff/random.ts";

const test = suite("fusion");
const CODE = 0x1000, DATA = 0x8000, ECALL = 0x73, FAULTING = 0x7000_0000, C_NOP = 0x0001, NOP = 0x13;

/** The 16-bit instructions of each row. */
const shortForms = new Map<number, number[]>();
const d = newDecoded();
for (let half = 0; half < 65536; half++) {
  if (!isCompressed(half)) continue;
  decode(half, d);
  if (d.row >= 0) shortForms.set(d.row, [...(shortForms.get(d.row) ?? []), half]);
}

/** An instruction of an operation, with operands of chance: loads and stores stay near their base, branches and jumps on the page. */
function instruction(op: number, r: Random): number {
  const { row, lenBytes } = opInstruction(op), { args } = rows[row]!, reg = () => 5 + r.below(20);
  if (lenBytes === 2) return r.pick(shortForms.get(row)!);
  const imm = args.includes("u") ? r.below(16) << 12 : args.includes("sh5") ? r.below(32) : args.includes("sh6") ? r.below(64) : args.includes("b") ? 8 * r.below(64) : 8 * r.below(100);
  return encodeRow(rows[row]!, { rd: r.below(32), rs1: reg(), rs2: reg(), imm });
}

/** Gives a hart this code, and registers of chance, most of which point to data. */
function prepare(h: BareHart, seed: number, insns: readonly number[]): BareHart {
  const r = new Random(seed);
  for (let i = 0; i < 512; i++) h.view.setUint32(DATA + 4 * i, r.below(2 ** 31), true);
  for (let x = 1; x < 32; x++) h.hart.setReg(x, r.below(8) === 0 ? FAULTING : RAM_PA + DATA + 8 * r.below(64));
  // What a branch or jump goes to stops at once.
  for (let at = 0; at < 4096; at += 2) h.view.setUint16(CODE + at, C_NOP, true);
  h.code(CODE, ...insns, ECALL);
  // A branch may not come to the second, so that it is decoded later.
  const records = h.hart.code.recordsOf(CODE >>> 12);
  h.hart.code.decodeAt(records);
  const second = records + (isCompressed(insns[0]!) ? 1 : 2) * RECORD;
  if (new Uint16Array(h.hart.memory.buffer)[second / 2] === OP_DECODE) h.hart.code.decodeAt(second);
  return h;
}

const stateOf = ({ hart, ram }: BareHart, stop: number): string =>
  JSON.stringify({ stop, pc: hart.pc, cause: stop === STOP_TRAP ? hart.cause : 0, tval: stop === STOP_TRAP ? hart.tval : 0, retired: hart.instret, x: [...hart.x], data: [...ram.subarray(DATA, DATA + 4096)] });

const operationAt = ({ hart }: BareHart, offset: number): number =>
  new Uint16Array(hart.memory.buffer)[(hart.code.recordsOf(CODE >>> 12) + (offset / 2) * RECORD) / 2]!;

test("each pair does what its instructions do one by one, and stops between them", () => {
  const r = new Random(7);
  const whole = new BareHart(), single = new BareHart();
  let faults = 0;
  for (const [i, { first, second }] of pairs.entries()) {
    for (let n = 0; n < 30; n++) {
      const insns = [instruction(first, r), instruction(second, r)], seed = 1 + i * 100 + n;
      prepare(whole, seed, insns);
      prepare(single, seed, insns);
      let stop = whole.run(CODE, 2);
      const expected = stateOf(whole, stop);
      assert.is(operationAt(whole, 0), OP_COUNT + i, `${insns.map((x) => x.toString(16))} are a pair`);
      faults += stop === STOP_TRAP ? 1 : 0;
      stop = single.run(CODE, 1);
      if (stop !== STOP_TRAP) stop = single.hart.run(1);
      assert.is(stateOf(single, stop), expected, `${insns.map((x) => x.toString(16))} of ${rows[opInstruction(first).row]!.name}, ${rows[opInstruction(second).row]!.name}`);
    }
  }
  assert.ok(faults > 20, `${faults} faults`);
  assert.is(FAST_OP_COUNT, OP_COUNT + pairs.length);
});

test("a store to any halfword of the second undoes the pair", () => {
  const lengths = new Set<string>(), r = new Random(3);
  for (const { first, second } of pairs) {
    const lens = [opInstruction(first).lenBytes, opInstruction(second).lenBytes] as const;
    if (lengths.has(String(lens))) continue;
    lengths.add(String(lens));
    for (let at = lens[0]; at < lens[0] + lens[1]; at++) {
      const h = prepare(new BareHart(), 5, [instruction(first, r), instruction(second, r)]);
      h.run(CODE, 2);
      assert.ok(firstLength(operationAt(h, 0)) === lens[0], "a pair");
      h.hart.code.storeTo(CODE + at, 1);
      assert.is(firstLength(operationAt(h, 0)), 0, `stored to byte ${at} of lengths ${lens}`);
    }
  }
  assert.is(lengths.size, 4, "all four combinations of lengths");
});

test("a changed second instruction runs as it is then", () => {
  const ADDI_T0_1 = 0x00128293, ADDI_T0_100 = 0x06428293, h = new BareHart();
  h.code(CODE, ADDI_T0_1, ADDI_T0_1, ECALL);
  h.hart.setReg(5, 0);
  h.run(CODE, 2);
  assert.is(h.hart.reg(5), 2);
  h.code(CODE + 4, ADDI_T0_100);
  h.run(CODE, 2);
  assert.is(h.hart.reg(5), 103);
});

test("a record that shall be seen is in no pair behind another, and nothing before a page's first record changes", () => {
  const h = prepare(new BareHart(), 1, [NOP, NOP, NOP]), { code } = h.hart, bytes = new Uint8Array(h.hart.memory.buffer);
  h.run(CODE, 3);
  const records = code.recordsOf(CODE >>> 12);
  assert.ok(firstLength(operationAt(h, 0)) === 4 && firstLength(operationAt(h, 4)) === 4, "pairs");
  code.standAlone(records + 2 * RECORD);
  assert.equal([firstLength(operationAt(h, 0)), firstLength(operationAt(h, 4))], [0, 4]);
  assert.is(records, CODE_BASE, "the first slot: the TLB lies before it");
  const before = bytes.slice(TLB_BASE, CODE_BASE);
  bytes.fill(0xff, CODE_BASE - 32, CODE_BASE);
  new Uint16Array(bytes.buffer)[(CODE_BASE - 16) / 2] = OP_COUNT;
  code.standAlone(records);
  assert.is(new Uint16Array(bytes.buffer)[(CODE_BASE - 16) / 2], OP_COUNT);
  bytes.set(before, TLB_BASE);
});

test.run();
