// Regions of random code, of which only some has run: whatever is found, its blocks hang together and have a shape.
import { discoverRegion, type Region } from "../../../emu/jit/region.ts";
import { structureOf, type Part } from "../../../emu/jit/structure.ts";
import { unroll } from "../../../emu/jit/unroll.ts";
import { Random } from "../../diff/random.ts";
import { asm } from "../../helpers/asm.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("regions of random code");
const BASE = 0x80000000, INSNS = 500;

/** Straight code with branches, jumps, calls, returns and jumps through registers to anywhere in it. */
function randomCode(r: Random): DataView {
  const view = new DataView(new ArrayBuffer(4096)), near = r.percent(70) ? 40 : INSNS;
  for (let i = 0; i < INSNS; i++) {
    const to = Math.max(0, Math.min(INSNS - 1, i + r.range(-near, near))), imm = 4 * (to - i), kind = r.below(30);
    const insn = kind < 4 ? asm("bne", { rs1: 1 + r.below(9), rs2: 2, imm }) : kind < 7 ? asm("jal", { rd: r.pick([0, 1, 1, 1]), imm })
      : kind === 7 ? asm("jalr", r.pick([{ rd: 1, rs1: 5 }, { rd: 0, rs1: 1 }, { rd: 0, rs1: 6 }])) : kind === 8 && r.percent(30) ? asm("ecall") : asm("addi", { rd: 3, rs1: 4, imm: i });
    view.setInt32(4 * i, insn, true);
  }
  return view;
}

/** Blocks that some entry leads to. */
function reached(region: Region): number {
  const seen = new Set(region.entries), work = [...region.entries];
  for (let id = work.pop(); id !== undefined; id = work.pop()) for (const t of region.blocks[id]!.succ) if (!seen.has(t)) work.push(t), seen.add(t);
  return seen.size;
}

const count = (parts: readonly Part[]): number => parts.reduce((n, p) => n + (p.heads === null ? 1 : count(p.parts)), 0);

test("every block of a region is reached from an entry, and has one place in the structure", () => {
  let regions = 0, unrolled = 0;
  for (let seed = 1; seed <= 200; seed++) {
    const r = new Random(seed), view = randomCode(r), ran = r.pick([100, 99, 95]);
    const run = Array.from({ length: INSNS }, () => r.percent(ran)), targets = Array.from({ length: r.below(12) }, () => 4 * r.below(INSNS));
    const source = {
      codePage: (va: number) => (va === BASE ? 0 : -1), half: (_: number, offset: number) => view.getUint16(offset, true),
      hasRun: (_: number, offset: number) => run[offset >> 2] === true, targets: () => targets,
      exitsOf: () => null,
    };
    for (let i = 0; i < INSNS; i += 11) {
      if (!run[i]) continue;
      const region = discoverRegion(BASE + 4 * i, source);
      if (region === null) continue;
      regions++;
      assert.is(reached(region), region.blocks.length, `seed ${seed}, entry ${i}`);
      assert.is(count(structureOf(region)), region.blocks.length, `seed ${seed}, entry ${i}: structure`);
      const rounds = unroll(region, 60), where = (r: Region, id: number) => r.blocks[id]!.succ.map((t) => r.blocks[t]!.va).sort().join();
      assert.is(count(structureOf(rounds)), rounds.blocks.length, `seed ${seed}, entry ${i}: structure, unrolled`);
      assert.is(reached(rounds), rounds.blocks.length, `seed ${seed}, entry ${i}: unrolled`);
      if (rounds !== region) unrolled++;
      const byVa = new Map(region.blocks.map((b) => [b.va, b.id]));
      for (const b of rounds.blocks) assert.is(where(rounds, b.id), where(region, byVa.get(b.va)!), `seed ${seed}, entry ${i}: edges of ${b.va}`);
    }
  }
  assert.ok(regions > 2000 && unrolled > 200, `${regions} regions, ${unrolled} unrolled`);
});

test("of two loops with the same head the shorter is a loop within the other", () => {
  // 0: ..., branch to 0; 1: ..., branch to 0; then out.
  const view = new DataView(new ArrayBuffer(4096)), count = (rd: number) => asm("addi", { rd, rs1: rd, imm: 1 });
  const insns = [count(3), asm("bne", { rs1: 3, rs2: 4, imm: -4 }), count(5), asm("bne", { rs1: 5, rs2: 6, imm: -12 })];
  insns.forEach((insn, i) => view.setInt32(4 * i, insn, true));
  const source = {
    codePage: (va: number) => (va === BASE ? 0 : -1), half: (_: number, offset: number) => view.getUint16(offset, true),
    hasRun: (_: number, offset: number) => offset < 16, targets: () => [], exitsOf: () => null,
  };
  const [outer] = structureOf(discoverRegion(BASE, source)!), inner = outer!.parts[0]!;
  assert.equal([outer!.cut, outer!.parts.length, inner.cut, inner.parts.map((p) => p.block)], [0, 2, 0, [0]]);
});

test.run();
