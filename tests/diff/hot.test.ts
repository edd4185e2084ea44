// About a minute of hot-loop fuzzing with fixed seeds: translated loops against QEMU, and against our interpreter where timer
// interrupts, counters and instructions that QEMU has not are in them. tools/fuzz.main.ts goes on for longer.
import type { TlbMode } from "../../emu/machine.ts";
import { assert, suite } from "../helpers/suite.ts";
import { difference, twinDifference } from "./compare.ts";
import { qemuMissing, runHere, runInQemu } from "./machines.ts";
import { makeProgram, rowsOf } from "./program.ts";

const test = suite("hot loops"), why = qemuMissing();
const SIZE = 6000, QEMU_SEEDS = 22, TWIN_SEEDS = 7;
const TLB_MODES: readonly TlbMode[] = ["normal", "tiny", "hostile"], DROPS = [0, 3, 9, 50], SLICES = [0, 0, 1013, 89];

/** How our machine runs the program of a seed. */
const tlbOf = (seed: number): TlbMode => TLB_MODES[seed % TLB_MODES.length]!;
const sliceOf = (seed: number): number => SLICES[(seed >> 1) % SLICES.length]!;
/** A step of translation at a return would leave too little of so short a program for translated code: three. */
const stepsOf = (seed: number): number => 3 * (seed % 2);
const dropOf = (seed: number): number => DROPS[seed % DROPS.length]!;
const translated = (seed: number) => ({ engine: "jit", tuning: { hot: 2, steps: stepsOf(seed), drop: dropOf(seed) } }) as const;
const again = (kind: string, seed: number): string =>
  `repeat: node build/tools/fuzz.main.mjs ${kind} --seed ${seed} --size ${SIZE} --insns 1 --tlb ${tlbOf(seed)} --slice ${sliceOf(seed)} --steps ${stepsOf(seed)} --drop ${dropOf(seed)}`;

for (let seed = 3000; seed < 3000 + QEMU_SEEDS; seed++) {
  test.skipBecause(why, `program ${seed}, translated, does what it does in QEMU`, () => {
    const program = makeProgram(seed, SIZE, true), here = runHere(program, tlbOf(seed), sliceOf(seed), translated(seed));
    assert.ok(here.regions > 100, `${here.regions} regions were translated`);
    const report = difference(program, runInQemu(program), here.ram);
    if (report !== "") assert.unreachable(`${report}\n${again("--hot", seed)}`);
  });
}

for (let seed = 4000; seed < 4000 + TWIN_SEEDS; seed++) {
  test(`program ${seed} with timer interrupts does the same translated and interpreted, to the instruction`, () => {
    const program = makeProgram(seed, SIZE, true, true), here = runHere(program, tlbOf(seed), sliceOf(seed), translated(seed));
    const report = twinDifference(program, runHere(program, tlbOf(seed), 0, { engine: "interp" }), here);
    if (report !== "") assert.unreachable(`${report}\n${again("--twin", seed)}`);
  });
}

test("hot programs have calls, returns, jump tables, LR/SC, fences and what QEMU has not", () => {
  const seen = rowsOf(makeProgram(4000, SIZE, true, true)), flow = ["jal", "jalr", "fence.i", "sfence.vma", "ebreak", "ecall", "csrrw"];
  const others = ["lr.w", "lr.d", "sc.w", "sc.d", "fmadd.d", "sh1add", "bext", "ctzw", "czero.eqz", "czero.nez"];
  assert.equal([...flow, ...others].filter((name) => !seen.has(name)), []);
});

test.run();
