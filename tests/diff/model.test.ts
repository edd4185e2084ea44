// Extensions that the reference emulator lacks, on random operands, against the model next to this file.
import { asm } from "../helpers/asm.ts";
import { BareHart } from "../helpers/barehart.ts";
import { MmuProbe } from "../helpers/mmuprobe.ts";
import { assert, suite } from "../helpers/suite.ts";
import { type Access, czero, translate } from "./model.ts";
import { Random } from "./random.ts";

const test = suite("extensions by model");
const VA = 0x40_0000, DATA = 0x8020_0000, MENVCFG = 0x30a, ADUE = 1n << 61n, MODES = ["hw", "svade", "svadu", "svadu, ADUE"] as const;

for (const mode of MODES) {
  test(`A and D of random page-table entries: ${mode}`, () => {
    const r = new Random(mode.length), probe = new MmuProbe({ ad: mode === "svadu, ADUE" ? "svadu" : mode }), { hart, ram } = probe.machine;
    if (mode === "svadu, ADUE") hart.writeCsr(MENVCFG, ADUE);
    const hardware = mode === "hw" || mode === "svadu, ADUE", leaf = probe.map(VA, DATA, 1), at = (leaf - ram.base) / 8;
    for (let i = 0; i < 2500; i++) {
      const flags = BigInt(r.below(256) | (r.percent(80) ? 1 : 0)), reserved = r.percent(5) ? 1n << BigInt(r.range(54, 63)) : 0n;
      let pte = ((BigInt(DATA) / 4096n) << 10n) | flags | reserved;
      const priv = r.below(2) as 0 | 1;
      Object.assign(probe, { sum: r.percent(50), mxr: r.percent(50) });
      ram.i64[at] = BigInt.asIntN(64, pte);
      hart.fenceAll();
      // Several accesses through one entry: what the TLB remembers of the first must not change the others.
      for (let n = 0; n < 3; n++) {
        const access = r.pick<Access>(["load", "store", "fetch"]), wanted = translate({ pte, priv, sum: probe.sum, mxr: probe.mxr, hardware }, access);
        const cause = probe[access](VA, priv), what = `${access} ${n} in mode ${priv} of 0x${pte.toString(16)}, SUM ${probe.sum}, MXR ${probe.mxr}`;
        assert.is(cause, wanted.cause, what);
        assert.is(BigInt.asUintN(64, ram.i64[at]!), wanted.pte, `entry after ${what}`);
        pte = wanted.pte;
      }
    }
  });
}

test("Zicond on random operands", () => {
  const r = new Random(9), bare = new BareHart(), { x64 } = bare.hart;
  const places = (["czero.eqz", "czero.nez"] as const).map((name, i) => {
    bare.code(8 * i, asm(name, { rd: 3, rs1: 1, rs2: 2 }));
    return [name, 8 * i] as const;
  });
  for (let i = 0; i < 2000; i++) {
    const a = BigInt.asIntN(64, r.integer()), b = r.percent(40) ? 0n : BigInt.asIntN(64, r.integer()), [name, at] = r.pick(places);
    x64[1] = a;
    x64[2] = b;
    bare.run(at, 1);
    assert.is(x64[3], czero(name, a, b), `${name} ${a} ${b}`);
  }
});

test.run();
