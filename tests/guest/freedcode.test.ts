// Pages of code that their process gives up take their translations with them, before anybody else uses them.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { packCpio } from "../../tools/cpio.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { rootImage } from "../helpers/guest.ts";
import { program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("freed code"), BASE = 0x10080, PAGES = 40;
const SYS_EXIT = 93, SYS_PAUSE = 73, SYS_MMAP = 222, SYS_MUNMAP = 215, RWX = 7, PRIVATE_ANON = 0x22;

/** Fills PAGES pages of its own with a function, runs each until it is hot, then does what `end` says. */
const makesCode = (end: string): string => `
_start:
  li a0, 0
  li a1, ${PAGES * 4096}
  li a2, ${RWX}
  li a3, ${PRIVATE_ANON}
  li a4, -1
  li a5, 0
  li a7, ${SYS_MMAP}
  ecall
  mv s0, a0
  mv s1, a0
  li s2, ${PAGES}
page:
  la t0, function
  ld t1, 0(t0)
  sd t1, 0(s1)
  ld t1, 8(t0)
  sd t1, 8(s1)
  fence.i
  li a1, 300
  jalr ra, 0(s1)
  li t0, 4096
  add s1, s1, t0
  addi s2, s2, -1
  bnez s2, page
${end}
  .align 3
function:
  addi a0, a0, 1
  addi a1, a1, -1
  bnez a1, function
  ret
`;
const GIVES_BACK = `  mv a0, s0\n  li a1, ${PAGES * 4096}\n  li a7, ${SYS_MUNMAP}\n  ecall\n`;
const SLEEPS = `  li a0, 0\n  li a1, 0\n  li a2, 0\n  li a3, 0\n  li a4, 0\n  li a7, ${SYS_PAUSE}\n  ecall\n`;
const EXITS = `  li a0, 0\n  li a7, ${SYS_EXIT}\n  ecall\n`;

/** Boots the program as the first process, and runs until it rests. */
function ran(end: string): Kernel {
  const silent = { read: () => 0, write: () => {} }, elf = elfOf(assemble(makesCode(end), BASE), BASE, ["_start"]);
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: silent, ports: [silent, silent],
    bootargs: "stdio=ports", engine: "jit", tuning: { hot: 8 }, initrd: packCpio([program("makes", elf)]),
  });
  const kernel = new Kernel(machine, { init: ["/prog/makes"] });
  while (kernel.run(10_000) === "budget") assert.ok(machine.hart.instret < 3e8, "it comes to rest");
  return kernel;
}

for (const [how, end, pages] of [["are kept", SLEEPS, PAGES], ["are unmapped", GIVES_BACK + SLEEPS, 0], ["die with their process", EXITS, 0]] as const) {
  test(`translations of pages that ${how}`, () => {
    const engine = ran(end).machine.hart.engine!, r = engine.report();
    assert.ok(engine.stats.regions >= PAGES / 2, JSON.stringify(engine.stats));
    assert.ok(pages === 0 ? r.regions < 5 : r.regions >= PAGES / 2, JSON.stringify(r));
    assert.ok(r.modules <= r.regions, JSON.stringify(r));
  });
}

test.run();
