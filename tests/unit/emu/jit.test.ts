// Translated code at its edges: each program runs interpreted, translated, and translated step by step between its own
// stops, with all of it hot at the second jump; registers, pc and retired instructions are compared wherever it stops.
import { type Machine, STOP_BUDGET, STOP_TRAP } from "../../../emu/machine.ts";
import { CODE_VA, DATA_FRAME, DATA_VA, PTE_CODE, PTE_DATA, World } from "../../helpers/codeworld.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("jit");
/** Runs a program in all ways; `serve` is the supervisor at each stop, and says whether to go on. => the machine with translations */
function both(source: string, serve: (w: World, stop: number, at: number) => boolean, where = CODE_VA, budget = 60): Machine {
  const worlds = [new World(source, "interp", where), new World(source, "jit", where), new World(source, "jit", where, { steps: 1 })] as const;
  for (let at = 0; ; at++) {
    const [interpreted, translated, stepwise] = worlds.map((w) => {
      const stop = w.m.hart.run(budget);
      return { state: w.state(stop), more: serve(w, stop, at) };
    });
    assert.is(translated!.state, interpreted!.state, `stop ${at}`);
    assert.is(stepwise!.state, interpreted!.state, `stop ${at}, translated step by step`);
    if (!interpreted!.more) break;
  }
  const { stats } = worlds[1].m.hart.engine!;
  assert.ok(stats.regions > 0, "something was translated");
  return worlds[1].m;
}

/** A supervisor that steps over ecall and ends at ebreak. */
const overEcall = (w: World, stop: number): boolean => {
  if (stop === STOP_TRAP && w.m.hart.cause === 8) {
    w.m.hart.pc += 4;
    w.m.hart.clearReservation();
  }
  return stop !== STOP_TRAP || w.m.hart.cause === 8;
};

test("a budget is kept to the instruction in translated loops", () => {
  const source = "li a0, 300\nloop: addi a0, a0, -1\nandi a1, a0, 3\nbnez a1, skip\naddi a2, a2, 1\nskip: bnez a0, loop\nebreak";
  for (const budget of [1, 2, 3, 7, 50, 999]) both(source, overEcall, CODE_VA, budget);
});

test("an inexact operation that was never interpreted is done exactly", () => {
  // The load faults until the loop is hot, so the square root is translated with its block, but was not decoded.
  const source = `li s0, ${DATA_VA + 8192}\nfcvt.d.w ft2, s0, rne\nli a0, 40\nj loop
again: j loop
loop: ld a2, 0(s0)\nfsqrt.d ft0, ft2, rup\naddi a0, a0, -1\nbnez a0, loop\nebreak`;
  const m = both(source, (w, stop, at) => {
    if (stop !== STOP_TRAP || w.m.hart.cause !== 13) return stop === STOP_BUDGET;
    if (at < 8) w.m.hart.pc -= 4;
    else w.map(DATA_VA + 8192, DATA_FRAME, PTE_DATA);
    return true;
  });
  assert.is(m.hart.cause, 3);
});

test("an inexact operation across two pages is done exactly", () => {
  const at = CODE_VA + 4096 - 18;
  const source = `li a0, 60\nli t1, 3\nfcvt.d.w ft1, t1, rne\n.half 1\nloop: fsqrt.d ft0, ft1, rup\nfadd.d ft1, ft1, ft0, rne\naddi a0, a0, -1\nbnez a0, loop\nebreak`;
  both(source, overEcall, at);
});

test("behind an instruction of the interpreter's translated code goes on at once", () => {
  // The loop calls a function that is straight: each time it runs to its end, and no jump leads behind the CSR instruction.
  const source = `li s0, 400\nj loop
f: addi a0, a0, 1\ncsrr a3, instret\nadd a4, a4, a2\nret
loop: jal ra, f\naddi s0, s0, -1\nbnez s0, loop\nebreak`;
  const m = both(source, overEcall, CODE_VA, 100_000), f = CODE_VA + 8;
  assert.equal([f, f + 4, f + 8].map((va) => m.hart.engine!.entryAt(va) !== null), [true, false, true]);
});

/** An operation, how far its base steps, and the cause that stops it: at an address that is not aligned, or on no page. */
const ATOMICS: readonly (readonly [string, number, number])[] = [
  ["amoadd.d a1, s0, (s1)", 4, 6], ["amoor.w a1, s0, (s1)", 4, 15], ["lr.d a1, (s1)", 8, 13], ["amoswap.d a1, s0, (s1)", 8, 15],
  // s2 is copied at each turn: its page is not remembered.
  ["mv s2, s1\namoadd.d a1, s0, (s2)", 4, 6], ["mv s2, s1\nlr.w a1, (s2)", 2, 4],
];

test("atomic operations on a page that is remembered trap when they are not aligned, and where they lie on no page", () => {
  for (const [op, step, cause] of ATOMICS) {
    const traps: number[] = [];
    both(`li s0, 1100\nli s1, ${DATA_VA + 4096 - 64}\nloop: ${op}\nadd a2, a2, a1\naddi s1, s1, ${step}\naddi s0, s0, -1\nbnez s0, loop\nebreak`, (w, stop) => {
      if (stop !== STOP_TRAP) return true;
      traps.push(w.m.hart.cause);
      w.m.hart.pc += 4;
      return w.m.hart.cause % 2 === 0 && traps.length < 300;
    });
    assert.ok(traps.length > 0 && traps.every((c) => c === cause), `${op}: ${traps.join(" ")}`);
  }
});

test("a compare-and-swap whose word a store takes away between, off a base that stays", () => {
  const swap = "lr.d a1, (s1)\nandi a3, s0, 3\nbnez a3, swap\nsd s0, 0(s1)\nswap: addi a2, a1, 5\nsc.d a4, a2, (s1)\nadd a5, a5, a4";
  both(`li s0, 200\nli s1, ${DATA_VA}\nloop: ${swap}\naddi s0, s0, -1\nbnez s0, loop\nebreak`, overEcall);
});

test("a frame over the end of a page: its accesses share no check, and each finds its own page", () => {
  const regs = ["a0", "a1", "a2", "a3", "a4", "a5"], each = (what: string): string => regs.map((r, i) => `${what} ${r}, ${8 * i}(sp)`).join("\n");
  for (const below of [24, 20, 8]) {
    const source = `li sp, ${DATA_VA + 4096 - below}\nli s0, 200\nloop: ${each("sd")}\nadd a0, a0, s0\n${each("ld")}\nadd a5, a5, a1\naddi a1, a1, 3\naddi s0, s0, -1\nbnez s0, loop\nebreak`;
    both(source, overEcall);
  }
});

test("loops that begin with the same instruction, and small ones that are unrolled, end where they should", () => {
  // Becomes hot in the inner loop, so that the region of both begins there; the trips of the inner one differ.
  const nested = "li s0, 90\nouter: andi a0, s0, 7\naddi a0, a0, 1\ninner: addi a0, a0, -1\nadd a1, a1, a0\nbnez a0, inner\nxor a2, a2, a1\naddi s0, s0, -1\nbnez s0, outer\nebreak";
  const branchy = "li s0, 300\nloop: andi a0, s0, 5\nbeqz a0, even\naddi a1, a1, 3\nj next\neven: addi a1, a1, 7\nsub a2, a1, s0\nxor a2, a2, a1\naddi a3, a3, 1\nnext: addi s0, s0, -1\nbnez s0, loop\nebreak";
  for (const source of [nested, branchy]) for (const budget of [1, 7, 61, 5000]) both(source, overEcall, CODE_VA, budget);
});

test("addresses at the ends of the address space and of the TLB's places fault as they should", () => {
  const far = [0, 8, 4088, 4095, -1, -8, -4096, CODE_VA - 64, DATA_VA + 8192, DATA_VA + 2048 * 4096, DATA_VA + 2048 * 4096 + 4000, DATA_VA + 4096 * 4096, 2 ** 38, -(2 ** 38)];
  for (const size of ["b", "h", "w", "d"]) {
    const each = far.map((va, i) => `li s1, ${va}\nli s0, 12\nloop${i}: l${size} a0, 0(s2)\nl${size} a1, 0(s1)\ns${size} s0, 0(s1)\nl${size} a2, 8(s1)\ns${size} s0, 16(s1)\naddi s0, s0, -1\nbnez s0, loop${i}`);
    let faults = 0;
    both(`li s2, ${DATA_VA}\n${each.join("\n")}\nebreak`, (w, stop) => {
      if (stop !== STOP_TRAP || w.m.hart.cause === 3) return stop !== STOP_TRAP;
      faults++;
      w.m.hart.pc += 4;
      return true;
    });
    // Three runs; some of the addresses behind those at -1 and -8 are of the first page, which is not mapped either.
    assert.is(faults, 3 * far.length * 12 * 4);
  }
});

test("misaligned accesses, on a page and over its end", () => {
  for (const at of [1, 3, 4089, 4091, 4093, 4095]) {
    const ops = ["h", "w", "d"].map((s, i) => `s${s} s0, ${i}(s1)\nl${s} a${i}, ${i}(s1)\nadd a5, a5, a${i}`).join("\n");
    both(`li s1, ${DATA_VA + at}\nli s0, 200\nloop: ${ops}\naddi s0, s0, -1\nbnez s0, loop\nebreak`, overEcall);
  }
});

test("what a loop remembers of its pages ends with a fence: other frames, lost rights", () => {
  const source = `li s1, ${DATA_VA}\nli sp, ${DATA_VA + 64}\nli s0, 2000\nloop: ld a0, 0(s1)\nadd a1, a1, a0\nsd a1, 0(sp)\naddi s0, s0, -1\nbnez s0, loop\nebreak`;
  let faults = 0;
  both(source, (w, stop, at) => {
    if (stop === STOP_TRAP && w.m.hart.cause === 15) {
      faults++;
      w.map(DATA_VA, DATA_FRAME, PTE_DATA);
      return true;
    }
    w.m.ram.i32[(DATA_FRAME + 1) * 1024] = at;
    if (at % 3 === 1) w.map(DATA_VA, DATA_FRAME + (at & 1), PTE_DATA);
    if (at % 7 === 5) w.map(DATA_VA, DATA_FRAME, PTE_DATA & ~4);
    return stop === STOP_BUDGET;
  });
  assert.ok(faults > 10, `${faults} faults`);
});

test("a place whose first instructions are the interpreter's has its region behind them", () => {
  const source = "li s0, 300\nloop: csrr a3, instret\ncsrr a4, instret\nsub a5, a4, a3\nadd a0, a0, a5\naddi s0, s0, -1\nbnez s0, loop\nebreak";
  const m = both(source, overEcall, CODE_VA, 100_000);
  assert.ok(m.hart.engine!.entryAt(CODE_VA + 12) !== null);
});

test("a store into the loop that runs is seen after fence.i, and translations of it go", () => {
  const source = `
    li a0, 200\nla s0, change\nla s1, other\nlw s1, 0(s1)\nlw s2, 0(s0)
loop: addi a0, a0, -1
change: addi s5, s5, 1
    andi t0, a0, 15
    bnez t0, next
    sw s1, 0(s0)\nfence.i
    mv t1, s1\nmv s1, s2\nmv s2, t1
next: bnez a0, loop
    ebreak
other: addi s5, s5, 100`;
  const m = both(source, overEcall);
  assert.ok(m.hart.engine!.stats.drops > 0, JSON.stringify(m.hart.engine!.stats));
  assert.is(m.hart.reg(21), 96 * 100 + 104);
});

test("code that is written while it is translated runs as it is then", () => {
  const w = new World("li a0, 100000\nloop: addi a0, a0, -1\nadd a1, a1, a0\nbnez a0, loop\nebreak", "jit", CODE_VA, { steps: 1 }), { hart, ram } = w.m, engine = hart.engine!;
  const at = 4096 + 12, ADD_A1_A1_1 = 0x00158593;
  for (let n = 0; n < 20 && !engine.isWaiting; n++) hart.run(10);
  hart.run(10);
  assert.equal([engine.isWaiting, engine.stats.regions], [true, 0], "half way");
  ram.i32[at / 4] = ADD_A1_A1_1;
  hart.codeWritten(0x80001);
  hart.setReg(11, 0);
  const left = hart.reg(10);
  while (hart.reg(10) !== 0) hart.run(90);
  assert.is(engine.stats.abandoned, 1);
  assert.ok(engine.stats.regions > 0, "translated in the end");
  assert.ok(Math.abs(hart.reg(11) - left) <= 1, `${hart.reg(11)} times around, not ${left}`);
});

test("a code page that is mapped elsewhere runs what is there now", () => {
  const source = `
loop: addi s5, s5, 1
    call far
    blt s5, a2, loop
    ebreak
    .align 12
far: addi a0, a0, 1
    ret
    .align 12
    addi a0, a0, 1000
    ret`;
  both(`li a2, 90\n${source}`, (w, stop, at) => {
    if (at < 6) w.map(CODE_VA + 4096, at % 2 === 0 ? 3 : 2, PTE_CODE);
    return stop === STOP_BUDGET;
  }, CODE_VA, 50);
});

test("recursion deeper than WebAssembly calls may nest, and returns to nowhere", () => {
  const source = `
    li sp, ${DATA_VA + 8192}\nli a0, 500\ncall down\nebreak
down: addi sp, sp, -16\nsd ra, 0(sp)\nbeqz a0, up
    addi a0, a0, -1\ncall down
up: ld ra, 0(sp)\naddi sp, sp, 16\naddi a1, a1, 1\nret`;
  both(source.replace("li a0, 500", "li a0, 450"), overEcall);
  // The stack's end: a fault in the middle of the recursion.
  both(source.replace("li a0, 500", "li a0, 3000"), overEcall);
});

test("a reservation holds across regions and is lost to a trap", () => {
  const source = `
    li s0, ${DATA_VA}\nli a0, 60
loop: lr.d a1, (s0)\naddi a1, a1, 1
    andi t0, a0, 7\nbnez t0, put
    ecall
put: call bump
    sc.d a2, a1, (s0)\nadd a3, a3, a2
    addi a0, a0, -1\nbnez a0, loop
    ld a4, 0(s0)\nebreak
bump: addi a5, a5, 1\nret`;
  const m = both(source, overEcall);
  assert.is(m.hart.reg(14) + m.hart.reg(13), 60);
  assert.is(m.hart.reg(13), 7);
});

test("faults in the middle of a loop are precise: misaligned across pages, forbidden, and gone on", () => {
  const source = `
    li s0, ${DATA_VA + 4000}\nli a0, 100
loop: sd a0, 0(s0)\nld a1, 0(s0)\nadd a2, a2, a1\nlh a3, 1(s0)\nadd a2, a2, a3
    addi s0, s0, 31\naddi a0, a0, -1\nbnez a0, loop\nebreak`;
  both(source, (w, stop) => {
    const { hart } = w.m;
    if (stop !== STOP_TRAP || hart.cause === 3) return stop === STOP_BUDGET;
    w.map(DATA_VA + 8192, DATA_FRAME + 2, PTE_DATA);
    return true;
  });
});

test("a debugger's breakpoint in a translated loop stops each time around, and single steps are single", () => {
  const source = "li a0, 5000\nloop: addi a0, a0, -1\nadd a1, a1, a0\nhere: xori a1, a1, 5\nbnez a0, loop\nebreak", here = 4096 + 16, EBREAK = 0x00100073;
  const w = new World(source, "jit"), { hart, ram } = w.m;
  const put = (insn: number): number => {
    const before = ram.i32[here / 4]!;
    ram.i32[here / 4] = insn;
    hart.codeWritten(0x80001);
    return before;
  };
  hart.run(3000);
  hart.run(3000);
  assert.ok(hart.engine!.covers(CODE_VA + 16), "the loop is translated");
  const insn = put(EBREAK);
  for (let round = 0; round < 200; round++) {
    assert.is(hart.run(100000), STOP_TRAP);
    assert.equal([hart.cause, hart.pc], [3, CODE_VA + 16], `round ${round}`);
    const left = hart.reg(10), retired = hart.instret;
    put(insn);
    for (const pc of [20, 8, 12]) {
      assert.is(hart.run(1), STOP_BUDGET);
      assert.is(hart.pc, CODE_VA + pc);
    }
    // Without the breakpoint the loop is hot again, and runs on for some rounds.
    assert.is(hart.run(40), STOP_BUDGET);
    assert.is(hart.instret - retired, 43);
    assert.is(left - hart.reg(10), 11);
    put(EBREAK);
  }
});

test.run();
