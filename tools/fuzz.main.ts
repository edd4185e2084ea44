// Differential fuzzer: random programs in QEMU and here, until they differ or the instructions are used up.
//
//   npx loanword-fuzz is not a command for users: node build/tools/fuzz.mjs --seed N --insns N [--size N] [--tlb MODE] [--keep FILE]
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { TlbMode } from "../emu/machine.ts";
import { difference } from "../tests/diff/compare.ts";
import { qemuMissing, runHere, runInQemu } from "../tests/diff/machines.ts";
import { makeProgram } from "../tests/diff/program.ts";

const { values } = parseArgs({ options: {
  seed: { type: "string", default: "1" }, insns: { type: "string", default: "1000000" }, size: { type: "string", default: "20000" },
  tlb: { type: "string", default: "normal" }, keep: { type: "string" }, "keep-going": { type: "boolean", default: false },
} });

function main(): number {
  const missing = qemuMissing();
  if (missing) {
    console.error(`fuzz: ${missing}`);
    return 2;
  }
  const size = Number(values.size), total = Number(values.insns);
  let done = 0, retired = 0, failures = 0;
  for (let seed = Number(values.seed); done < total; seed++) {
    const program = makeProgram(seed, Math.min(size, total));
    if (values.keep !== undefined) writeFileSync(values.keep, program.image);
    const theirs = runInQemu(program), ours = runHere(program, values.tlb as TlbMode);
    const report = difference(program, theirs, ours.ram);
    done += program.insns;
    retired += ours.retired;
    if (report !== "") {
      console.log(report);
      failures++;
      if (!values["keep-going"]) break;
    }
  }
  console.log(`${done} random instructions, ${retired} retired, ${failures} programs differ`);
  return failures ? 1 : 0;
}

process.exitCode = main();
