// Differential fuzzer: random programs in QEMU and here, until they differ or the instructions are used up.
//
//   node build/tools/fuzz.main.mjs --seed N --insns N [--size N] [--tlb MODE] [--slice N] [--hot] [--keep FILE] [--keep-going]
//
// --hot: programs of loops, all translated at once, with translations dropped at random. A program has `size` random instructions. --keep writes its image, --slice runs ours that many instructions at a time.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { TlbMode } from "../emu/machine.ts";
import { difference } from "../tests/diff/compare.ts";
import { qemuMissing, runHere, runInQemu } from "../tests/diff/machines.ts";
import { makeProgram } from "../tests/diff/program.ts";

const { values } = parseArgs({ options: {
  seed: { type: "string", default: "1" }, insns: { type: "string", default: "1000000" }, size: { type: "string", default: "20000" },
  tlb: { type: "string", default: "normal" }, keep: { type: "string" }, slice: { type: "string", default: "0" }, "keep-going": { type: "boolean", default: false }, hot: { type: "boolean", default: false },
} });

function main(): number {
  const missing = qemuMissing();
  if (missing) {
    console.error(`fuzz: ${missing}`);
    return 2;
  }
  const size = Number(values.size), total = Number(values.insns);
  let done = 0, retired = 0, regions = 0, failures = 0;
  for (let seed = Number(values.seed); done < total; seed++) {
    const program = makeProgram(seed, size, values.hot);
    if (values.keep !== undefined) writeFileSync(values.keep, program.image);
    const theirs = runInQemu(program), ours = runHere(program, values.tlb as TlbMode, Number(values.slice), values.hot ? { engine: "jit", stress: { hotJumps: 2, dropOneIn: 50 } } : {});
    const report = difference(program, theirs, ours.ram);
    done += program.insns;
    retired += ours.retired;
    regions += ours.regions;
    if (report !== "") {
      console.log(report);
      failures++;
      if (!values["keep-going"]) break;
    }
  }
  console.log(`${done} random instructions, ${retired} retired, ${regions} regions translated, ${failures} programs differ`);
  return failures ? 1 : 0;
}

process.exitCode = main();
