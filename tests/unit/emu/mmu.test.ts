// Translation: rights against privilege, superpages, reserved encodings, A and D, PMP.
import {
  A, D, FETCH_ACCESS, FETCH_PAGE, G, LOAD_ACCESS, LOAD_PAGE, MmuProbe, PRIV_S, PRIV_U, R, STORE_ACCESS, STORE_PAGE, U, V, W, X,
} from "../../helpers/mmuprobe.ts";
import { MTVAL, PMPADDR0, PMPCFG0 } from "../../../emu/machine.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("mmu");
const VA = 0x40_0000, DATA = 0x8020_0000;

test("a leaf's rights, U, SUM and MXR decide each access as the architecture's table says", () => {
  const probe = new MmuProbe();
  for (let rights = 0; rights < 16; rights++) {
    const [r, w, x, u] = [rights & 1, rights & 2, rights & 4, rights & 8].map(Boolean) as [boolean, boolean, boolean, boolean];
    if (!r && !w && !x) continue;
    const reserved = w && !r;
    probe.map(VA, DATA, V | A | D | (r ? R : 0) | (w ? W : 0) | (x ? X : 0) | (u ? U : 0));
    for (const priv of [PRIV_U, PRIV_S]) for (const sum of [false, true]) for (const mxr of [false, true]) {
      Object.assign(probe, { sum, mxr });
      probe.machine.hart.fenceAll();
      const mine = priv === PRIV_U ? u : !u || sum, name = `r${+r} w${+w} x${+x} u${+u} priv${priv} sum${+sum} mxr${+mxr}`;
      assert.is(probe.load(VA, priv), !reserved && mine && (r || (mxr && x)) ? 0 : LOAD_PAGE, `load ${name}`);
      assert.is(probe.store(VA, priv), !reserved && mine && w ? 0 : STORE_PAGE, `store ${name}`);
      const runs = !reserved && x && (priv === PRIV_U ? u : !u);
      assert.is(probe.fetch(VA, priv), runs ? 0 : FETCH_PAGE, `fetch ${name}`);
    }
  }
});

test("superpages translate at each level, and misaligned ones fault", () => {
  const probe = new MmuProbe();
  probe.map(0x4000_0000, 0x8020_0000, V | R | W | A | D, 1);
  probe.machine.ram.i32[0x20_5678 / 4] = 77;
  probe.machine.ram.i32[0x20_567c / 4] = 0;
  assert.is(probe.load(0x4000_5678), 0);
  assert.is(probe.loaded, 77);
  probe.map(0x8000_0000, 0x8000_0000, V | R | A | D, 2);
  assert.is(probe.load(0x8020_5678), 0);
  assert.is(probe.loaded, 77);
  probe.map(0x4020_0000, 0x8020_1000, V | R | W | A | D, 1);
  assert.is(probe.load(0x4020_0000), LOAD_PAGE);
  probe.map(0xc000_0000, 0x8020_0000, V | R | A | D, 2);
  assert.is(probe.load(0xc000_0000), LOAD_PAGE);
});

test("reserved encodings fault: upper bits, pointers with A, D or U, a pointer at the last level", () => {
  const probe = new MmuProbe();
  const leaf = probe.map(VA, DATA, V | R | A | D);
  assert.is(probe.load(VA), 0);
  for (let bit = 54 - 32; bit < 32; bit++) {
    probe.machine.hart.fenceAll();
    probe.setPte(leaf, DATA, V | R | A | D, 1 << bit);
    assert.is(probe.load(VA), LOAD_PAGE, `bit ${bit + 32}`);
  }
  probe.machine.hart.fenceAll();
  probe.setPte(leaf, DATA, V);
  assert.is(probe.load(VA), LOAD_PAGE, "a pointer at level 0");
  probe.setPte(leaf, DATA, V | R | A | D);
  const root = probe.ptePa(probe.root, VA, 2), good = probe.pte(root);
  for (const bit of [A, D, U]) {
    probe.machine.ram.i32[(root - 0x8000_0000) / 4] = good | bit;
    probe.machine.hart.fenceAll();
    assert.is(probe.load(VA), LOAD_PAGE, `pointer with ${bit}`);
  }
  probe.machine.ram.i32[(root - 0x8000_0000) / 4] = good | G;
  assert.is(probe.load(VA), 0, "G on a pointer is fine");
});

test("addresses that are not canonical fault, and the fault tells them whole", () => {
  const probe = new MmuProbe();
  probe.map(-0x40_0000, DATA, V | R | A | D);
  assert.is(probe.load(-0x40_0000), 0);
  assert.is(probe.load(2 ** 38), LOAD_PAGE);
  assert.is(probe.machine.hart.readCsr(MTVAL), 1n << 38n);
  assert.is(probe.load(-(2 ** 38) - 8), LOAD_PAGE);
  assert.is(probe.store(2 ** 52), STORE_PAGE);
});

test("tables or frames outside RAM are access faults of the access's own kind", () => {
  const probe = new MmuProbe();
  probe.map(VA, 0x4000_0000, V | R | W | X | A | D);
  assert.is(probe.load(VA), LOAD_ACCESS);
  assert.is(probe.store(VA), STORE_ACCESS);
  assert.is(probe.fetch(VA), FETCH_ACCESS);
  probe.setPte(probe.ptePa(probe.root, VA, 2), 0x4000_0000, V);
  assert.is(probe.load(VA), LOAD_ACCESS);
  assert.is(probe.store(VA), STORE_ACCESS);
  assert.is(probe.fetch(VA), FETCH_ACCESS);
});

test("an access over two pages faults with the address of the page that fails, and stores nothing", () => {
  const probe = new MmuProbe();
  probe.map(VA, DATA, V | R | W | A | D);
  probe.map(VA + 4096, DATA + 8192, V | R | A | D);
  const before = probe.machine.ram.i32[0x20_0ffc / 4];
  assert.is(probe.load(VA + 4092), 0);
  assert.is(probe.store(VA + 4092), STORE_PAGE);
  assert.is(probe.machine.hart.readCsr(MTVAL), BigInt(VA + 4096));
  assert.is(probe.machine.ram.i32[0x20_0ffc / 4], before);
  probe.map(VA + 4096, DATA + 8192, V | R | W | A | D);
  probe.machine.hart.fenceAll();
  assert.is(probe.store(VA + 4092), 0);
  assert.is(probe.machine.ram.i32[0x20_2000 / 4], 0x13);
});

test("over two pages, where the bus has no memory for one: a load in order, a store after both are translated", () => {
  const probe = new MmuProbe(), at = VA + 4092, { ram, hart } = probe.machine, tval = () => Number(hart.readCsr(MTVAL)) - VA;
  probe.map(VA, 0x4000_0000, V | R | W | A | D);
  probe.map(VA + 4096, DATA, V | A | D | X);
  assert.equal([probe.load(at), tval(), probe.store(at), tval()], [LOAD_ACCESS, 4092, STORE_PAGE, 4096]);
  probe.map(VA + 4096, DATA, V | R | W | A | D);
  hart.fenceAll();
  assert.equal([probe.store(at), tval()], [STORE_ACCESS, 4092]);
  probe.map(VA, DATA, V | R | W | A | D);
  probe.map(VA + 4096, 0x4000_0000, V | R | W | A | D);
  hart.fenceAll();
  const word = (DATA - 0x8000_0000 + 4092) / 4, before = -99;
  ram.i32[word] = before;
  assert.equal([probe.load(at), tval(), ram.i32[word]], [LOAD_ACCESS, 4096, before]);
  assert.equal([probe.store(at), tval()], [STORE_ACCESS, 4096]);
  assert.is.not(ram.i32[word], before, "the first part is stored");
});

test("hw sets A on any access and D on a store", () => {
  const probe = new MmuProbe({ ad: "hw" }), leaf = probe.map(VA, DATA, V | R | W | X);
  assert.is(probe.load(VA), 0);
  assert.is(probe.pte(leaf) & (A | D), A);
  assert.is(probe.store(VA), 0);
  assert.is(probe.pte(leaf) & (A | D), A | D);
});

test("svade faults on a clear A, and on a store with a clear D, and changes nothing", () => {
  const probe = new MmuProbe({ ad: "svade" }), leaf = probe.map(VA, DATA, V | R | W | X);
  assert.is(probe.load(VA), LOAD_PAGE);
  assert.is(probe.fetch(VA), FETCH_PAGE);
  assert.is(probe.pte(leaf) & (A | D), 0);
  probe.setPte(leaf, DATA, V | R | W | X | A);
  assert.is(probe.load(VA), 0);
  assert.is(probe.store(VA), STORE_PAGE);
  probe.setPte(leaf, DATA, V | R | W | X | A | D);
  assert.is(probe.store(VA), 0, "a missing D is not cached as a refusal");
});

test("svadu follows menvcfg.ADUE, which the other modes do not have", () => {
  const MENVCFG = 0x30a, ADUE = 1n << 61n;
  const probe = new MmuProbe({ ad: "svadu" }), leaf = probe.map(VA, DATA, V | R | W);
  assert.is(probe.store(VA), STORE_PAGE);
  probe.machine.hart.writeCsr(MENVCFG, ADUE);
  assert.is(probe.store(VA), 0);
  assert.is(probe.pte(leaf) & (A | D), A | D);
  for (const ad of ["hw", "svade"] as const) {
    const other = new MmuProbe({ ad });
    other.machine.hart.writeCsr(MENVCFG, ADUE);
    assert.is(other.machine.hart.readCsr(MENVCFG), 0n);
  }
});

test("PMP guards pages of data and the page tables themselves", () => {
  const probe = new MmuProbe(), { hart } = probe.machine;
  probe.map(VA, DATA, V | R | W | A | D);
  probe.map(VA + 4096, DATA + 4096, V | R | W | A | D);
  assert.is(probe.load(VA), 0);
  const protect = (pa: number, lenBytes: number, rights: number) => {
    hart.writeCsr(PMPADDR0 + 1, (1n << 54n) - 1n);
    hart.writeCsr(PMPADDR0, BigInt((pa + lenBytes / 2 - 4) / 4));
    hart.writeCsr(PMPCFG0, BigInt(0x1f18 | rights));
  };
  protect(DATA, 4096, R);
  hart.writeCsr(PMPCFG0, 0x1f19n);
  assert.is(probe.load(VA), 0);
  assert.is(probe.store(VA), STORE_ACCESS);
  assert.is(probe.store(VA + 4096), 0);
  protect(DATA + 0x100, 256, 0);
  assert.is(probe.load(VA + 0xf8), 0);
  assert.is(probe.load(VA + 0x100), LOAD_ACCESS, "part of a page");
  assert.is(probe.load(VA + 0x1f8), LOAD_ACCESS);
  assert.is(probe.load(VA + 0x200), 0);
  assert.is(probe.load(VA + 0xfc), LOAD_ACCESS, "an access of which part is forbidden");
  protect(probe.root * 4096, 4096, 0);
  assert.is(probe.load(VA), LOAD_ACCESS, "the walk is refused its root");
});

test("fetches from a page that PMP divides are checked one by one", () => {
  const probe = new MmuProbe(), { hart } = probe.machine, MCAUSE = 0x342, MEPC = 0x341;
  hart.writeCsr(PMPADDR0, BigInt((DATA + 0x100 + 128 - 4) / 4));
  hart.writeCsr(PMPADDR0 + 1, (1n << 54n) - 1n);
  hart.writeCsr(PMPCFG0, 0x1f19n);
  probe.setSatp(0, 0, 0);
  assert.is(probe.fetch(DATA + 0xf8), 0);
  assert.is(probe.fetch(DATA + 0x100), FETCH_ACCESS);
  assert.is(probe.fetch(DATA + 0x200), 0);
  // Straight on from granted code into the hole.
  hart.control.become(1);
  hart.pc = DATA + 0xf0;
  hart.run(10);
  assert.is(hart.readCsr(MCAUSE), 1n);
  assert.is(hart.readCsr(MEPC), BigInt(DATA + 0x100));
  hart.control.become(3);
  hart.writeCsr(PMPCFG0, 0x1f1fn);
  assert.is(probe.fetch(DATA + 0x100), 0);
});

test("Sv48 walks four levels", () => {
  const probe = new MmuProbe(), root = probe.newTable(), va = 0x7123_4560_0000;
  probe.map(va, DATA, V | R | W | A | D, 0, root, 4);
  probe.setSatp(0, root, 9);
  assert.is(probe.load(va), 0);
  assert.is(probe.load(2 ** 47), LOAD_PAGE);
});

test("the walk report shows each level and does not touch A and D", () => {
  const probe = new MmuProbe(), leaf = probe.map(VA, DATA, V | R | W);
  const report = probe.machine.walk(VA + 0x123);
  assert.is(report.pa, DATA + 0x123);
  assert.equal(report.steps.map((s) => [s.level, s.bits]), [[2, "V"], [1, "V"], [0, "VRW"]]);
  assert.is(probe.pte(leaf) & A, 0);
  assert.is(probe.machine.walk(0x1000_0000).pa, null);
});

test.run();
