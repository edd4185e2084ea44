// Each integer instruction, run by the interpreter on edge operands, against the BigInt model.
import { CAUSE_LOAD_MISALIGNED, CAUSE_STORE_MISALIGNED } from "../../emu/hart/cold.ts";
import { STOP_BUDGET, STOP_TRAP } from "../../emu/hart/hart.ts";
import { RAM_PA } from "../../emu/hart/layout.ts";
import { compressedRows } from "../../emu/isa/compressed.ts";
import { decode, newDecoded, rows } from "../../emu/isa/table.ts";
import { asm } from "../helpers/asm.ts";
import { BareHart } from "../helpers/barehart.ts";
import { assert, suite } from "../helpers/suite.ts";
import { atomic, branches, edges, models, s64, u64 } from "./model.ts";

const test = suite("semantics of integer instructions");
const A0 = 10, A1 = 11, A2 = 12, CODE = 0x1000, DATA = 0x8000, BASE = RAM_PA;
const bare = new BareHart(), { hart } = bare;
const show = (v: bigint): string => `0x${u64(v).toString(16)}`;

/** Runs the one instruction at CODE. => rd's value */
function once(rd: number, a: bigint, b: bigint): bigint {
  hart.x64[A1] = s64(a);
  hart.x64[A2] = s64(b);
  assert.is(bare.run(CODE, 1), STOP_BUDGET);
  return hart.x64[rd]!;
}

const immediateOf = (args: string): readonly number[] | null =>
  /sh6/.test(args) ? [0, 1, 31, 32, 63] : /sh5/.test(args) ? [0, 1, 15, 31] : /,u/.test(args) ? [0, 0x1000, 0x7ffff000, -0x80000000] : /,i$/.test(args) ? [0, 1, -1, 255, 2047, -2048] : null;

test("every row on x registers alone has a model, and gives what the model gives", () => {
  for (const row of rows) {
    if (!/^rd,(rs1|u)/.test(row.args) || row.name === "auipc" || row.ext === "a") continue;
    const model = models.get(row.name), immediates = immediateOf(row.args);
    assert.ok(model, `no model of ${row.name}`);
    for (const imm of immediates ?? [0]) {
      bare.code(CODE, asm(row.name, { rd: A0, rs1: A1, rs2: A2, imm }));
      for (const a of edges) {
        for (const b of row.args === "rd,rs1,rs2" ? edges : [BigInt(imm)]) {
          const got = once(A0, a, b), want = s64(model!(u64(a), u64(b)));
          if (got !== want) assert.unreachable(`${row.name} ${show(a)}, ${show(b)} (imm ${imm}): ${show(got)}, not ${show(want)}`);
        }
      }
    }
  }
});

test("x0 stays 0, and reads as 0", () => {
  for (const name of ["add", "sub", "mul", "addiw", "lui", "jal", "auipc"]) {
    bare.code(CODE, asm(name, { rd: 0, rs1: A1, rs2: A2, imm: 16 }));
    assert.is(once(0, 5n, 7n), 0n, name);
  }
  bare.code(CODE, asm("ld", { rd: 0, rs1: A1 }));
  assert.is(once(0, BigInt(BASE + DATA), 0n), 0n);
  bare.code(CODE, asm("amoadd.d", { rd: 0, rs1: A1, rs2: A2 }));
  assert.is(once(0, BigInt(BASE + DATA), 3n), 0n);
  bare.code(CODE, asm("sub", { rd: A0, rs1: 0, rs2: A2 }));
  assert.is(once(A0, 5n, 7n), -7n);
});

test("an instruction may write its own sources", () => {
  bare.code(CODE, asm("jalr", { rd: A1, rs1: A1, imm: 8 }));
  assert.is(once(A1, BigInt(BASE + 0x2001), 0n), BigInt(BASE + CODE + 4));
  assert.is(hart.pc, BASE + 0x2008);
  bare.code(CODE, asm("sub", { rd: A1, rs1: A1, rs2: A1 }));
  assert.is(once(A1, 5n, 0n), 0n);
});

test("auipc, jal and jalr know their own address", () => {
  bare.code(CODE, asm("auipc", { rd: A0, imm: -0x1000 }));
  assert.is(once(A0, 0n, 0n), BigInt(BASE + CODE - 0x1000));
  for (const imm of [4, 16, -8, 4094, -4096, 1048574 - CODE, 0x2000]) {
    bare.code(CODE, asm("jal", { rd: A0, imm }));
    assert.is(once(A0, 0n, 0n), BigInt(BASE + CODE + 4));
    assert.is(hart.pc, BASE + CODE + imm, `jal ${imm}`);
  }
});

test("branches go where the model says", () => {
  for (const [name, taken] of Object.entries(branches)) {
    for (const imm of [32, -2048, 4094]) {
      bare.code(CODE, asm(name, { rs1: A1, rs2: A2, imm }));
      for (const a of edges) {
        for (const b of edges) {
          once(A0, a, b);
          assert.is(hart.pc, BASE + CODE + (taken(a, b) ? imm : 4), `${name} ${show(a)}, ${show(b)}`);
        }
      }
    }
  }
});

const loads: Record<string, [bytes: number, signed: boolean]> = {
  lb: [1, true], lh: [2, true], lw: [4, true], ld: [8, true], lbu: [1, false], lhu: [2, false], lwu: [4, false],
};

test("loads extend, at every alignment and across pages", () => {
  for (let i = 0; i < 8192; i++) bare.ram[DATA + i] = (i * 37 + 11) & 255;
  for (const [name, [bytes, signed]] of Object.entries(loads)) {
    for (const at of [0, 1, 2, 3, 5, 7, 4090, 4091, 4092, 4093, 4094, 4095, 4096]) {
      let want = 0n;
      for (let i = bytes - 1; i >= 0; i--) want = (want << 8n) | BigInt(bare.ram[DATA + at + i]!);
      bare.code(CODE, asm(name, { rd: A0, rs1: A1, imm: -8 }));
      assert.is(once(A0, BigInt(BASE + DATA + at + 8), 0n), signed ? BigInt.asIntN(8 * bytes, want) : want, `${name} at ${at}`);
    }
  }
});

test("stores write their bytes and no others, at every alignment and across pages", () => {
  const value = 0x1122334455667788n;
  for (const [name, bytes] of [["sb", 1], ["sh", 2], ["sw", 4], ["sd", 8]] as const) {
    for (const at of [0, 1, 3, 7, 4089, 4090, 4092, 4093, 4094, 4095, 4096]) {
      bare.ram.fill(0xee, DATA, DATA + 8192);
      bare.code(CODE, asm(name, { rs1: A1, rs2: A2, imm: 16 }));
      once(A0, BigInt(BASE + DATA + at - 16), value);
      for (let i = -2; i < 10; i++) {
        if (at + i < 0) continue;
        const want = i >= 0 && i < bytes ? Number((value >> BigInt(8 * i)) & 255n) : 0xee;
        assert.is(bare.ram[DATA + at + i], want, `${name} at ${at}, byte ${i}`);
      }
    }
  }
});

test("atomics give the old value and leave what the model says", () => {
  for (const row of rows) {
    const m = /^(amo\w+)\.([wd])$/.exec(row.name);
    if (m === null) continue;
    const bits = m[2] === "w" ? 32 : 64, place = BigInt(BASE + DATA);
    bare.code(CODE, asm(row.name, { rd: A0, rs1: A1, rs2: A2, aq: true, rl: true }));
    for (const old of edges) {
      for (const operand of edges) {
        bare.view.setBigUint64(DATA, u64(old), true);
        const got = once(A0, place, operand), left = bare.view.getBigUint64(DATA, true);
        const want = atomic(m[1]!, bits as 32 | 64, BigInt.asUintN(bits, old), BigInt.asUintN(bits, operand));
        assert.is(got, BigInt.asIntN(bits, old), row.name);
        assert.is(left, bits === 64 ? want : (u64(old) & ~0xffffffffn) | want, `${row.name} ${show(old)}, ${show(operand)}`);
      }
    }
  }
});

test("misaligned atomics trap, with the address as tval", () => {
  for (const [name, cause] of [["lr.w", CAUSE_LOAD_MISALIGNED], ["lr.d", CAUSE_LOAD_MISALIGNED], ["sc.d", CAUSE_STORE_MISALIGNED], ["amoadd.w", CAUSE_STORE_MISALIGNED]] as const) {
    bare.code(CODE, asm(name, { rd: A0, rs1: A1, rs2: A2 }));
    hart.x64[A1] = BigInt(BASE + DATA + 2);
    assert.is(bare.run(CODE, 1), STOP_TRAP);
    assert.is(hart.cause, cause, name);
    assert.is(hart.tval, BASE + DATA + 2);
    assert.is(hart.pc, BASE + CODE);
  }
});

test("sc succeeds after lr of the same place, once, and not when it was changed", () => {
  const pair = (between: () => void, size: "w" | "d" = "d"): bigint => {
    bare.code(CODE, asm(`lr.${size}`, { rd: A0, rs1: A1 }), asm(`sc.${size}`, { rd: A0, rs1: A1, rs2: A2 }), asm(`sc.${size}`, { rd: 13, rs1: A1, rs2: A2 }));
    hart.x64[A1] = BigInt(BASE + DATA);
    hart.x64[A2] = 77n;
    bare.view.setBigUint64(DATA, 5n, true);
    bare.run(CODE, 1);
    between();
    assert.is(hart.run(2), STOP_BUDGET);
    assert.is(hart.x64[13], 1n, "a second sc fails");
    assert.is(bare.view.getBigUint64(DATA, true), hart.x64[A0] === 0n ? 77n : bare.view.getBigUint64(DATA, true));
    return hart.x64[A0]!;
  };
  assert.is(pair(() => {}), 0n);
  assert.is(pair(() => {}, "w"), 0n);
  assert.is(pair(() => bare.view.setBigUint64(DATA, 6n, true)), 1n);
  assert.is(pair(() => hart.clearReservation()), 1n);
  assert.is(pair(() => { hart.x64[A1] = BigInt(BASE + DATA + 8); }), 1n);
});

test("each 16-bit instruction does what its 32-bit form does, and is two bytes long", () => {
  const d = newDecoded();
  for (const c of compressedRows) {
    const base = rows.find((r) => r.name === c.base)!;
    if (!models.has(c.base)) continue;
    // One encoding with registers and immediate set to something.
    const insn = [0x0a5c, 0x05b4, 0x156d].map((bits) => (c.match | (bits & ~c.mask & 0xffff))).find((n) => (decode(n, d), d.row >= 0 && d.compressed === c));
    if (insn === undefined) continue;
    bare.code(CODE, insn);
    const { rd, rs1, rs2, imm } = d;
    for (const [i, v] of edges.entries()) {
      for (let r = 1; r < 32; r++) hart.x64[r] = s64(v + BigInt(r * i));
      const a = hart.x64[rs1]!, b = /rs2/.test(base.args) ? hart.x64[rs2]! : BigInt(imm), want = rd === 0 ? 0n : s64(models.get(c.base)!(u64(a), u64(b)));
      bare.run(CODE, 1);
      assert.is(hart.x64[rd], want, c.name);
      assert.is(hart.pc, BASE + CODE + 2, c.name);
    }
  }
});

test.run();
