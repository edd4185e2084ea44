// Frames that reach over the end of a page: which of their accesses share a check, and that sharing changes nothing.
import { framesOf } from "../../../emu/jit/frame.ts";
import { groupAccesses } from "../../../emu/jit/group.ts";
import { discoverRegion } from "../../../emu/jit/region.ts";
import { assemble } from "../../helpers/assembler.ts";
import { DATA_VA, World } from "../../helpers/codeworld.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("frames over the end of a page");
const BASE = 0x80000000;

/** Groups of a straight line, as lists of the places of their members, in the order of the first. => sp: where the stack pointer is at its begin */
function groups(source: string, sp: number): number[][] {
  const view = new DataView(assemble(`${source}\nj .`, BASE).bytes.slice().buffer);
  const region = discoverRegion(BASE, {
    codePage: (va) => (va === BASE ? 0 : -1), half: (_, offset) => view.getUint16(offset, true), hasRun: () => true, targets: () => [], exitsOf: () => null,
  })!;
  const frames = framesOf(region, sp);
  return [...new Set(groupAccesses(region.blocks[0]!.insns, frames[0]!))].filter((g) => g !== null).map((g) => g.members);
}

test("each page of a frame has groups of its own, once its place is known", () => {
  const saves = "addi sp, sp, -32\nsd s0, 16(sp)\nsd s1, 24(sp)\nsd s2, 0(sp)\nsd s3, 8(sp)";
  assert.equal(groups(saves, 4096), [[1, 2, 3, 4]]);
  assert.equal(groups(saves, 16), [[1, 2], [3, 4]], "16 and 24 are on the next page");
  assert.equal(groups(saves, NaN), [[1, 2, 3, 4]], "unknown: all");
  assert.equal(groups("mv sp, a0\nsd s0, 0(sp)\nsd s1, 8(sp)", 4088), [[1, 2]], "set to what nobody knows");
});

test("a loop follows the stack pointer through steps that cancel out", () => {
  const view = new DataView(assemble("loop: addi sp, sp, -16\nbeqz a0, on\nnop\non: addi sp, sp, 16\nbnez a1, loop", BASE).bytes.slice().buffer);
  const region = discoverRegion(BASE, {
    codePage: (va) => (va === BASE ? 0 : -1), half: (_, offset) => view.getUint16(offset, true), hasRun: (_, offset) => offset < view.byteLength, targets: () => [],
    exitsOf: () => null,
  })!;
  const frames = framesOf(region, 100);
  assert.equal(region.blocks.map((b) => frames[b.id]), region.blocks.map((b) => (b.va === BASE ? 100 : 84)));
});

test("whatever a frame's place, and wherever it moves later, the same comes out", () => {
  const source = `
      li s0, 60\nli s1, ${DATA_VA + 4096 + 64}
again: mv sp, s1\nli a0, 40
loop: addi sp, sp, -80\nsd a0, 0(sp)\nsd a1, 8(sp)\nsw a0, 36(sp)\nsd a2, 64(sp)\nsb a0, 79(sp)
      ld a3, 0(sp)\nld a4, 8(sp)\nlw a5, 36(sp)\nld a6, 64(sp)\nlbu a7, 79(sp)
      add a1, a1, a3\nadd a2, a2, a4\nadd a1, a1, a5\nadd a2, a2, a6\nadd a1, a1, a7
      addi sp, sp, 80\naddi a0, a0, -1\nbnez a0, loop
      addi s1, s1, -4\naddi s0, s0, -1\nbnez s0, again\nebreak`;
  const run = (engine: "interp" | "jit"): string => {
    const w = new World(source, engine);
    let stop = w.m.hart.run(500);
    for (let i = 0; i < 1000 && w.m.hart.cause !== 3; i++) stop = w.m.hart.run(500);
    if (engine === "jit") assert.ok(w.m.hart.engine!.counts().translatedRetired > 10_000, "translated");
    return w.state(stop);
  };
  assert.is(run("jit"), run("interp"));
});

test.run();
