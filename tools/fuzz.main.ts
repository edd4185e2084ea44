// Differential fuzzer: random programs in QEMU and here, until they differ or the time or the instructions are used up.
//
//   node build/tools/fuzz.main.mjs [--seed N] [--insns N | --seconds N] [--size N] [--tlb MODE] [--slice N] [--drop N] [--steps N] [--hot] [--twin]
//                                  [--keep FILE] [--keep-going]
//
// --hot: programs of loops, all translated at once, one in --drop dropped at random, --steps of translation at one return. --twin: instead of QEMU this machine without
// translation, with timer interrupts and counters read. A program has `size` random instructions. --tlb all takes the modes in turn.
// --keep writes its image, --slice runs ours that many instructions at a time.
import { writeFileSync } from "node:fs";
import type { TlbMode } from "../emu/machine.ts";
import { difference, twinDifference } from "../tests/diff/compare.ts";
import { type OurRun, qemuMissing, runHere, runInQemu } from "../tests/diff/machines.ts";
import { makeProgram, type Program } from "../tests/diff/program.ts";
import { parseToolArgs, wrongUse } from "./host/toolargs.ts";

const { values } = parseToolArgs("fuzz", { options: {
  seed: { type: "string", default: "1" }, insns: { type: "string", default: "1000000" }, seconds: { type: "string" }, size: { type: "string", default: "20000" },
  tlb: { type: "string", default: "normal" }, keep: { type: "string" }, slice: { type: "string", default: "0" }, "keep-going": { type: "boolean", default: false },
  drop: { type: "string", default: "50" }, steps: { type: "string", default: "0" }, hot: { type: "boolean", default: false }, twin: { type: "boolean", default: false },
} });

for (const name of ["seed", "insns", "seconds", "size", "slice", "drop", "steps"] as const) {
  const value = values[name];
  if (value !== undefined && !/^\d{1,15}$/.test(value)) wrongUse("fuzz", `--${name} ${value}: give a number`);
}

const TLB_MODES: readonly TlbMode[] = ["normal", "tiny", "hostile"];
if (values.tlb !== "all" && !TLB_MODES.some((mode) => mode === values.tlb)) wrongUse("fuzz", `--tlb ${values.tlb}: give one of ${TLB_MODES.join(", ")}, all`);

/** Our run of a program, and what differs in the other. */
function runBoth(program: Program, tlb: TlbMode): { ours: OurRun; report: string } {
  const translated = values.hot || values.twin ? { engine: "jit", tuning: { hot: 2, steps: Number(values.steps), drop: Number(values.drop) } } as const : {};
  const theirs = values.twin ? null : runInQemu(program);
  let ours: OurRun;
  try {
    ours = runHere(program, tlb, Number(values.slice), translated);
  } catch (e) {
    return { ours: { ram: new Uint8Array(0), retired: 0, regions: 0 }, report: `seed ${program.seed}, TLB ${tlb}: ${(e as Error).stack}` };
  }
  const report = theirs === null ? twinDifference(program, runHere(program, tlb, 0, { engine: "interp" }), ours) : difference(program, theirs, ours.ram);
  return { ours, report };
}

function main(): number {
  const missing = values.twin ? "" : qemuMissing();
  if (missing) {
    console.error(`fuzz: ${missing}`);
    return 2;
  }
  const size = Number(values.size), total = values.seconds === undefined ? Number(values.insns) : Infinity, end = performance.now() + 1000 * Number(values.seconds ?? Infinity);
  let done = 0, retired = 0, regions = 0, failures = 0, seed = Number(values.seed);
  for (; done < total && performance.now() < end; seed++) {
    const program = makeProgram(seed, size, values.hot || values.twin, values.twin);
    if (values.keep !== undefined) writeFileSync(values.keep, program.image);
    const { ours, report } = runBoth(program, values.tlb === "all" ? TLB_MODES[seed % 3]! : values.tlb as TlbMode);
    done += program.insns;
    retired += ours.retired;
    regions += ours.regions;
    if (report !== "") {
      console.log(report);
      failures++;
      if (!values["keep-going"]) break;
    }
  }
  console.log(`seeds ${values.seed} to ${seed - 1}: ${done} random instructions, ${retired} retired, ${regions} regions translated, ${failures} programs differ`);
  return failures ? 1 : 0;
}

process.exitCode = main();
