// Physical memory protection: ranges, order, locks, and pages with no single answer.
import { PMP_MIXED, PMP_R, PMP_RWX, PMP_W, PMP_X, Pmp } from "../../../emu/hart/pmp.ts";
import { Prng } from "../../../emu/dev/prng.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("pmp");
const U = 0, S = 1, M = 3, TOR = 8, NA4 = 16, NAPOT = 24, L = 128;
const BASE = 0x8000_0000;
const set = (pmp: Pmp, i: number, byteAddress: number, cfg: number) => {
  pmp.writeAddr(i, byteAddress / 4, 0);
  pmp.writeCfg(i, cfg);
};
/** The pmpaddr, in bytes, of a naturally aligned power of two. */
const napot = (base: number, lenBytes: number) => base + lenBytes / 2 - 4;

test("with no entry M-mode has everything and S- and U-mode nothing", () => {
  const pmp = new Pmp();
  assert.is(pmp.page(BASE, M), PMP_RWX);
  assert.is(pmp.page(BASE, S), 0);
  assert.not(pmp.allows(BASE, 4, PMP_R, U));
});

test("NAPOT of all ones opens the whole address space", () => {
  const pmp = new Pmp();
  pmp.open();
  assert.is(pmp.page(0, U), PMP_RWX);
  assert.is(pmp.page(BASE, U), PMP_RWX);
  assert.is(pmp.page(2 ** 52, S), PMP_RWX);
});

test("TOR takes its lower bound from the entry below, or 0", () => {
  const pmp = new Pmp();
  set(pmp, 0, BASE, TOR | PMP_R);
  set(pmp, 1, BASE + 0x2000, TOR | PMP_R | PMP_W);
  assert.is(pmp.page(BASE - 4096, S), PMP_R);
  assert.is(pmp.page(BASE + 4096, S), PMP_R | PMP_W);
  assert.is(pmp.page(BASE + 8192, S), 0);
});

test("the lowest-numbered entry that touches decides", () => {
  const pmp = new Pmp();
  set(pmp, 0, napot(BASE + 0x1000, 0x1000), NAPOT | PMP_R);
  set(pmp, 1, napot(BASE, 0x10000), NAPOT | PMP_RWX);
  assert.is(pmp.page(BASE, U), PMP_RWX);
  assert.is(pmp.page(BASE + 0x1000, U), PMP_R);
});

test("an entry inside a page divides it, and each access is judged alone", () => {
  const pmp = new Pmp();
  set(pmp, 0, BASE + 0x10, NA4 | PMP_R);
  set(pmp, 1, napot(BASE, 0x1000), NAPOT | PMP_RWX);
  assert.is(pmp.page(BASE, S), PMP_MIXED);
  assert.ok(pmp.allows(BASE + 8, 8, PMP_W, S));
  assert.ok(pmp.allows(BASE + 0x10, 4, PMP_R, S));
  assert.not(pmp.allows(BASE + 0x10, 4, PMP_W, S));
  assert.not(pmp.allows(BASE + 0x10, 8, PMP_R, S), "the deciding entry must cover every byte");
  assert.not(pmp.allows(BASE + 0xc, 8, PMP_R, S));

});

test("a locked entry binds M-mode and cannot be changed", () => {
  const pmp = new Pmp();
  set(pmp, 0, napot(BASE, 0x1000), NAPOT | PMP_R | L);
  assert.is(pmp.page(BASE, M), PMP_R);
  assert.not(pmp.allows(BASE, 8, PMP_X, M));
  assert.is(pmp.page(BASE + 0x1000, M), PMP_RWX);
  assert.not(pmp.writeCfg(0, 0));
  assert.not(pmp.writeAddr(0, 0, 0));
  pmp.reset();
  assert.is(pmp.page(BASE, M), PMP_RWX);
});

test("a locked TOR entry locks the address below it too", () => {
  const pmp = new Pmp();
  set(pmp, 0, BASE, 0);
  set(pmp, 1, BASE + 0x1000, TOR | PMP_R | L);
  assert.not(pmp.writeAddr(0, 0, 0));
  assert.ok(pmp.writeCfg(0, NAPOT | PMP_R), "but not its cfg");
});

test("write without read is legalised to neither", () => {
  const pmp = new Pmp();
  pmp.writeCfg(0, NAPOT | PMP_W | PMP_X);
  assert.is(pmp.cfg[0], NAPOT | PMP_X);
});

test("the answers for many pages at once are those for each, in RAM and around it", () => {
  const random = new Prng(20260731), below = (n: number) => random.next() % n, n = 24;
  for (let round = 0; round < 2000; round++) {
    const pmp = new Pmp(), rights = new Uint8Array(n).fill(77);
    for (let i = 0; i < 5; i++) {
      const at = BASE + (below(n + 8) - 4) * 4096 + (below(3) === 0 ? below(1024) * 4 : 0);
      const [address, mode] = [[at, TOR], [at, NA4], [napot(at, 4096 << below(4)), NAPOT], [napot(at, 64), NAPOT], [at, 0]][below(5)]!;
      set(pmp, i, address!, mode! | below(8));
    }
    if (below(8) === 0) pmp.open();
    pmp.pages(BASE, rights);
    const expected = Array.from({ length: n }, (_, i) => pmp.page(BASE + i * 4096, S)).map((r) => (r === PMP_MIXED ? 0 : r & (PMP_R | PMP_W)));
    assert.equal([...rights], expected, `round ${round}`);
  }
});

test.run();
