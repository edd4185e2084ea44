// Random programs with fixed seeds: all registers after each trap, and memory at the end, are what QEMU has.
import type { TlbMode } from "../../emu/machine.ts";
import { assert, suite } from "../helpers/suite.ts";
import { difference } from "./compare.ts";
import { qemuMissing, runHere, runInQemu } from "./machines.ts";
import { makeProgram, rowsOf } from "./program.ts";
import { rows } from "../../emu/isa/table.ts";

const test = suite("random programs"), why = qemuMissing();
const INSNS = 20000;

// In 216 QEMU and this machine part ways: see partsWays.
const runs: readonly (readonly [number, TlbMode, number])[] = [[1001, "normal", 0], [1002, "tiny", 0], [1003, "hostile", 0], [1004, "normal", 0], [1005, "tiny", 97], [216, "normal", 0]];
for (const [seed, tlb, slice] of runs) {
  test.skipBecause(why, `program ${seed} does in QEMU what it does here (TLB ${tlb}${slice ? `, ${slice} instructions at a time` : ""})`, () => {
    const program = makeProgram(seed, INSNS), report = difference(program, runInQemu(program), runHere(program, tlb, slice).ram);
    if (report !== "") assert.unreachable(`${report}\nrepeat: node build/tools/fuzz.mjs --seed ${seed} --size ${INSNS} --insns 1 --tlb ${tlb}`);
  });
}

const hotRuns: readonly (readonly [number, TlbMode, number, number])[] = [[2001, "normal", 0, 0], [2002, "tiny", 0, 30], [2003, "hostile", 1013, 9], [2004, "normal", 0, 3]];
for (const [seed, tlb, slice, dropOneIn] of hotRuns) {
  test.skipBecause(why, `loops of program ${seed}, translated, do what they do in QEMU (TLB ${tlb}${dropOneIn ? `, one in ${dropOneIn} dropped` : ""})`, () => {
    const program = makeProgram(seed, 6000, true), here = runHere(program, tlb, slice, { engine: "jit", tuning: { hot: 2, drop: dropOneIn } });
    assert.ok(here.regions > 100, `${here.regions} regions were translated`);
    const report = difference(program, runInQemu(program), here.ram);
    if (report !== "") assert.unreachable(`${report}\nrepeat: node build/tools/fuzz.main.mjs --hot --seed ${seed} --size 6000 --insns 1 --tlb ${tlb}`);
  });
}

test("random programs have every instruction but those that would lead out of them", () => {
  const program = makeProgram(1001, INSNS), seen = rowsOf(program);
  const missing = rows.map((row) => row.name).filter((name) => !seen.has(name) && !["mret", "sret", "wfi"].includes(name));
  // See units.ts. These three have tests/isa.
  assert.equal(missing.sort(), ["ctzw", "czero.eqz", "czero.nez"]);
});

test.run();
