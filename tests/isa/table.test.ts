// The instruction table itself: encodings that overlap, decoding of what was encoded, disassembly.
import { compressedRows } from "../../emu/isa/compressed.ts";
import { disassemble } from "../../emu/isa/disasm.ts";
import { decode, newDecoded, rowNamed, rows } from "../../emu/isa/table.ts";
import { asm, encodeRow } from "../helpers/asm.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("instruction table");

test("no two 32-bit encodings overlap, and each lies within its mask", () => {
  for (const [i, a] of rows.entries()) {
    assert.is((a.match & ~a.mask) | 0, 0, `${a.name}: match has bits outside its mask`);
    assert.is(a.match & 3, 3, `${a.name}: is no 32-bit encoding`);
    for (const b of rows.slice(i + 1)) assert.ok(((a.match ^ b.match) & a.mask & b.mask) !== 0, `${a.name} and ${b.name} overlap`);
  }
});

test("names are unique", () => {
  const names = [...rows, ...compressedRows].map((r) => r.name);
  assert.is(new Set(names).size, names.length);
});

test("each 16-bit encoding decodes by the first row that fits, and every row is reached", () => {
  const d = newDecoded(), reached = new Set<string>();
  for (let insn = 0; insn < 0x10000; insn++) {
    if ((insn & 3) === 3) continue;
    decode(insn, d);
    if (d.row < 0) continue;
    reached.add(d.compressed!.name);
    assert.is(d.lenBytes, 2);
    assert.is(rows[d.row]!.name, d.compressed!.base);
    // Narrower patterns stand before wider ones that contain them; others do not overlap.
    for (const other of compressedRows) {
      if (other === d.compressed || (insn & other.mask) !== other.match) continue;
      assert.ok((d.compressed!.mask & other.mask) === other.mask || other.mask !== d.compressed!.mask, `${d.compressed!.name} and ${other.name} overlap at ${insn.toString(16)}`);
      assert.ok(compressedRows.indexOf(other) > compressedRows.indexOf(d.compressed!));
    }
  }
  assert.equal(compressedRows.filter((r) => !reached.has(r.name)).map((r) => r.name), []);
});

test("the reserved 16-bit encodings are illegal", () => {
  const d = newDecoded();
  // all zero; c.addi4spn 0; c.addiw x0; c.lui 0; c.addi16sp 0; c.lwsp x0; c.ldsp x0; c.jr x0; the reserved rows of quadrants 0 and 1
  for (const insn of [0x0000, 0x0004, 0x2005, 0x6081, 0x6101, 0x4002, 0x6002, 0x8002, 0x8000, 0x9c41, 0x9c61]) {
    decode(insn, d);
    assert.is(d.row, -1, insn.toString(16));
  }
});

/** Operands in range, different for each. */
const sample = { rd: 5, rs1: 6, rs2: 7, rs3: 28, rm: 1, csr: 0x340, zimm: 9 };
const immediates: Record<string, readonly number[]> = {
  i: [-2048, -1, 5, 2047], "i(rs1)": [-2048, -1, 5, 2047], "s(rs1)": [-2048, -33, 31, 2047], b: [-4096, -2, 2046, 4094], j: [-1048576, -2, 2048, 1048574],
  u: [-0x80000000, 0x12345000, 0x7ffff000], sh5: [0, 31], sh6: [0, 31, 63],
};

test("what is encoded decodes to the same row and operands", () => {
  const d = newDecoded();
  for (const [at, row] of rows.entries()) {
    const args = row.args.split(","), kind = args.find((a) => immediates[a]);
    for (const imm of kind ? immediates[kind]! : [0]) {
      decode(encodeRow(row, { ...sample, imm }), d);
      assert.is(d.row, at, row.name);
      if (kind) assert.is(d.imm, imm, `${row.name}: immediate`);
      if (args.includes("rd") || args.includes("fd")) assert.is(d.rd, sample.rd, row.name);
      if (args.some((a) => /rs1|fs1/.test(a))) assert.is(d.rs1, sample.rs1, row.name);
      if (args.includes("rs2") || args.includes("fs2")) assert.is(d.rs2, sample.rs2, row.name);
      if (args.includes("fs3")) assert.is(d.rs3, sample.rs3, row.name);
    }
  }
});

test("random words either decode to a row whose bits they carry, or are illegal", () => {
  const d = newDecoded();
  let state = 12345;
  for (let n = 0; n < 200_000; n++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const insn = (state ^ (state >>> 13)) | 3;
    decode(insn, d);
    const fits = rows.findIndex((r) => (insn & r.mask) === r.match);
    assert.is(d.row, fits);
  }
});

const text = (insn: number, va = 0x1000): string => disassemble(insn, va).text;

test("every row disassembles to its own name when no alias is wanted", () => {
  for (const row of rows) {
    const got = disassemble(encodeRow(row, { ...sample, imm: 4 }), 0x1000, { plain: true }).text;
    assert.is(got.split("\t")[0], row.name);
    assert.not.match(got, /undefined|NaN/);
  }
});

test("aliases read as objdump shows them", () => {
  assert.is(text(asm("addi")), "nop");
  assert.is(text(asm("addi", { rd: 10, imm: -3 })), "li\ta0,-3");
  assert.is(text(asm("addi", { rd: 10, rs1: 11 })), "mv\ta0,a1");
  assert.is(text(asm("jalr", { rs1: 1 })), "ret");
  assert.is(text(asm("jal", { imm: 16 })), "j\t0x1010");
  assert.is(text(asm("jal", { rd: 1, imm: -16 })), "jal\t0xff0");
  assert.is(text(asm("bne", { rs1: 10, imm: 8 })), "bnez\ta0,0x1008");
  assert.is(text(asm("csrrs", { rd: 10, csr: 0xc01 })), "rdtime\ta0");
  assert.is(text(asm("csrrw", { rs1: 10, csr: 0x305 })), "csrw\tmtvec,a0");
  assert.is(text(asm("fsgnj.d", { rd: 10, rs1: 11, rs2: 11 })), "fmv.d\tfa0,fa1");
  assert.is(text(asm("fcvt.w.d", { rd: 10, rs1: 11, rm: 1 })), "fcvt.w.d\ta0,fa1,rtz");
  assert.is(text(asm("amoswap.w", { rd: 10, rs1: 11, rs2: 12, aq: true })), "amoswap.w.aq\ta0,a2,(a1)");
  assert.is(text(asm("sd", { rs1: 2, rs2: 1, imm: 8 })), "sd\tra,8(sp)");
  assert.is(text(asm("lui", { rd: 10, imm: 0x12345000 })), "lui\ta0,0x12345");
});

test("16-bit instructions show under their own names, or as what they expand to", () => {
  assert.is(text(0x1101), "c.addi\tsp,-32");
  assert.is(text(0x7139), "c.addi16sp\tsp,-64");
  assert.is(text(0xec06), "c.sdsp\tra,24(sp)");
  assert.is(text(0x8082), "c.jr\tra");
  assert.is(text(0x850a), "c.mv\ta0,sp");
  assert.is(text(0x0000), "unimp");
  const expanded = (insn: number) => disassemble(insn, 0, { expand: true }).text;
  assert.is(expanded(0x8082), "ret");
  assert.is(expanded(0x1101), "addi\tsp,sp,-32");
  assert.is(expanded(0x850a), "mv\ta0,sp");
});

test("targets carry symbols", () => {
  const symbolize = (va: number) => (va === 0x1010 ? "main+0x10" : null);
  assert.is(disassemble(asm("jal", { imm: 16 }), 0x1000, { symbolize }).text, "j\t0x1010 <main+0x10>");
});

test("every row belongs to a named extension", () => {
  assert.ok(rows.every((r) => ["i", "m", "a", "f", "d", "s", "zicsr", "zifencei", "zicond", "zba", "zbb", "zbs"].includes(r.ext)));
  assert.ok(rowNamed("fmadd.d") >= 0);
});

test.run();
