// The TLB caches: what a missing fence shows, and what each fence drops, in all three modes.
import { A, D, G, LOAD_PAGE, MmuProbe, PRIV_U, R, STORE_PAGE, U, V, W, X } from "../../helpers/mmuprobe.ts";
import { PMPADDR0 } from "../../../emu/machine.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("tlb");
const VA = 0x40_0000, DATA = 0x8020_0000, RWAD = V | R | W | A | D;

for (const tlb of ["normal", "hostile"] as const) {
  test(`${tlb}: without a fence a changed leaf goes unseen, with one it is seen`, () => {
    const probe = new MmuProbe({ tlb }), { ram, hart } = probe.machine;
    ram.i32[0x20_0000 / 4] = 1;
    ram.i32[0x20_1000 / 4] = 2;
    const leaf = probe.map(VA, DATA, RWAD);
    probe.load(VA);
    probe.setPte(leaf, DATA + 4096, RWAD);
    probe.load(VA);
    assert.is(probe.loaded & 3, 1, "stale");
    hart.fenceVa(VA, -1);
    probe.load(VA);
    assert.is(probe.loaded & 3, 2);
    probe.setPte(leaf, 0, 0);
    assert.is(probe.load(VA), 0, "stale");
    hart.fenceVa(VA + 4096, -1);
    assert.is(probe.load(VA), 0, "another page's fence");
    hart.fenceVa(VA, -1);
    assert.is(probe.load(VA), LOAD_PAGE);
    probe.setPte(leaf, DATA, RWAD);
    assert.is(probe.load(VA), 0, "that a page is missing is not cached");
  });

  test(`${tlb}: a fence of an ASID leaves other ASIDs and global pages`, () => {
    const probe = new MmuProbe({ tlb }), { hart } = probe.machine;
    const own = probe.map(VA, DATA, RWAD), global = probe.map(VA + 4096, DATA, RWAD | G);
    probe.setSatp(2);
    probe.load(VA);
    probe.setSatp(1);
    probe.load(VA);
    probe.load(VA + 4096);
    probe.setPte(own, 0, 0);
    probe.setPte(global, 0, 0);
    hart.fenceVa(VA + 4096, 1);
    assert.is(probe.load(VA + 4096), 0, "by address and ASID: globals stay");
    hart.fenceAsid(1);
    assert.is(probe.load(VA), LOAD_PAGE);
    assert.is(probe.load(VA + 4096), 0, "by ASID: globals stay");
    probe.setSatp(2);
    assert.is(probe.load(VA), 0, "the other ASID's entry stays");
    hart.fenceVa(VA, -1);
    assert.is(probe.load(VA), LOAD_PAGE);
    probe.setSatp(1);
    hart.fenceVa(VA + 4096, -1);
    assert.is(probe.load(VA + 4096), LOAD_PAGE, "by address alone: globals go");
  });

  test(`${tlb}: a fence inside a superpage drops all its fragments`, () => {
    const probe = new MmuProbe({ tlb }), leaf = probe.map(0x4000_0000, DATA, RWAD, 1);
    for (const page of [0, 5, 99]) assert.is(probe.load(0x4000_0000 + page * 4096), 0);
    probe.map(0x4020_0000, DATA, RWAD, 1);
    assert.is(probe.load(0x4020_0000), 0);
    probe.setPte(leaf, 0, 0);
    probe.setPte(leaf + 8, 0, 0);
    probe.machine.hart.fenceVa(0x4000_7000, -1);
    for (const page of [0, 5, 99]) assert.is(probe.load(0x4000_0000 + page * 4096), LOAD_PAGE, `page ${page}`);
    assert.is(probe.load(0x4020_0000), 0, "the next superpage's fragments stay");
  });

  test(`${tlb}: a store finds the D bit that a cached load did not set`, () => {
    const probe = new MmuProbe({ tlb, ad: "hw" }), leaf = probe.map(VA, DATA, V | R | W);
    probe.load(VA);
    assert.is(probe.pte(leaf) & D, 0);
    assert.is(probe.store(VA), 0);
    assert.is(probe.pte(leaf) & D, D);
  });

  test(`${tlb}: privilege, SUM and MXR are part of what an entry is cached for`, () => {
    const probe = new MmuProbe({ tlb });
    probe.map(VA, DATA, RWAD | U);
    assert.is(probe.load(VA, PRIV_U), 0);
    assert.is(probe.load(VA), LOAD_PAGE);
    probe.sum = true;
    assert.is(probe.load(VA), 0);
    probe.sum = false;
    assert.is(probe.load(VA), LOAD_PAGE);
    probe.map(VA + 4096, DATA, V | X | A);
    probe.mxr = true;
    assert.is(probe.load(VA + 4096), 0);
    probe.mxr = false;
    assert.is(probe.load(VA + 4096), LOAD_PAGE);
  });
}

test("normal: rights that grew are seen by the walk that the refused access makes", () => {
  const probe = new MmuProbe(), leaf = probe.map(VA, DATA, V | R | A | D);
  probe.load(VA);
  probe.setPte(leaf, DATA, RWAD);
  assert.is(probe.store(VA), 0);
});

test("hostile: rights that grew are not seen before a fence", () => {
  const probe = new MmuProbe({ tlb: "hostile" }), leaf = probe.map(VA, DATA, V | R | A | D);
  probe.load(VA);
  probe.setPte(leaf, DATA, RWAD);
  assert.is(probe.store(VA), STORE_PAGE);
  probe.machine.hart.fenceVa(VA, -1);
  assert.is(probe.store(VA), 0);
});

test("hostile: an entry survives pages that share its slot, and contexts beyond the banks", () => {
  const probe = new MmuProbe({ tlb: "hostile" }), leaf = probe.map(VA, DATA, RWAD);
  probe.load(VA);
  probe.map(VA + 4096 * 4096, DATA, RWAD);
  probe.load(VA + 4096 * 4096);
  for (let asid = 1; asid <= 40; asid++) {
    probe.setSatp(asid);
    probe.load(VA + 4096 * 4096);
  }
  probe.setSatp(0);
  probe.setPte(leaf, 0, 0);
  assert.is(probe.load(VA), 0);
  probe.machine.hart.fenceAll();
  assert.is(probe.load(VA), LOAD_PAGE);
});

test("where a table lies is kept until a fence of any kind, another satp, or other PMP", () => {
  const probe = new MmuProbe(), { machine } = probe, { hart, ram } = machine, root = probe.ptePa(probe.root, VA, 2), at = (root - 0x8000_0000) / 4;
  const walked = (): number => hart.mmu.walker.shortWalks;
  for (let i = 0; i < 8; i++) probe.map(VA + i * 4096, DATA, RWAD);
  const pointer = ram.i32[at]!;
  let page = 0;
  const next = (): number => probe.load(VA + page++ * 4096);
  assert.is(next(), 0);
  const before = walked();
  assert.is(next(), 0);
  assert.is(walked(), before + 1, "the second walk begins at the table");
  ram.i32[at] = 0;
  assert.is(next(), 0, "without a fence the old table is used");
  for (const [what, forget] of [
    ["another page's fence", () => hart.fenceVa(0x1000_0000, -1)], ["another ASID's fence", () => hart.fenceAsid(77)], ["a full fence", () => hart.fenceAll()],
    ["another satp", () => { probe.setSatp(1); probe.setSatp(0); }], ["PMP", () => { hart.writeCsr(PMPADDR0, 0n); hart.writeCsr(PMPADDR0, (1n << 54n) - 1n); }],
  ] as const) {
    ram.i32[at] = pointer;
    assert.is(probe.load(VA + 4 * 4096), 0);
    ram.i32[at] = 0;
    forget();
    assert.is(probe.load(VA + 5 * 4096), LOAD_PAGE, what);
    hart.fenceAll();
  }
});

test("tiny and hostile: each walk begins at the root", () => {
  for (const tlb of ["tiny", "hostile"] as const) {
    const probe = new MmuProbe({ tlb });
    for (let i = 0; i < 8; i++) probe.map(VA + i * 4096, DATA, RWAD);
    for (let i = 0; i < 8; i++) assert.is(probe.load(VA + i * 4096), 0);
    assert.is(probe.machine.hart.mmu.walker.shortWalks, 0);
  }
});

test("tiny: the fifth page puts out the first", () => {
  const probe = new MmuProbe({ tlb: "tiny" }), leaf = probe.map(VA, DATA, RWAD);
  probe.load(VA);
  for (let i = 1; i <= 4; i++) probe.map(VA + i * 4096, DATA, RWAD);
  probe.setPte(leaf, 0, 0);
  for (let i = 1; i <= 4; i++) probe.load(VA + i * 4096);
  assert.ok(probe.machine.tlbEntries().length <= 4);
  assert.is(probe.load(VA), LOAD_PAGE);
});

test("more than 16 contexts: the least recently used is forgotten", () => {
  const probe = new MmuProbe(), leaf = probe.map(VA, DATA, RWAD);
  for (let asid = 1; asid <= 20; asid++) {
    probe.setSatp(asid);
    assert.is(probe.load(VA), 0);
  }
  probe.setPte(leaf, 0, 0);
  assert.is(probe.load(VA), 0, "asid 20 is cached");
  probe.setSatp(1);
  assert.is(probe.load(VA), LOAD_PAGE, "asid 1 is not");
});

test("satp keeps as many ASID bits as the board says, and ignores modes it lacks", () => {
  const SATP = 0x180, probe = new MmuProbe({ asidBits: 4 }), { hart } = probe.machine;
  hart.writeCsr(SATP, (8n << 60n) | (0xffffn << 44n) | 0x80100n);
  assert.is((hart.readCsr(SATP) >> 44n) & 0xffffn, 15n);
  const before = hart.readCsr(SATP);
  hart.writeCsr(SATP, 10n << 60n);
  assert.is(hart.readCsr(SATP), before);
});

test("the TLB tells what it holds", () => {
  const probe = new MmuProbe();
  probe.setSatp(3);
  probe.map(0x4000_0000, DATA, V | R | A | G, 1);
  probe.load(0x4000_3008);
  const entry = probe.machine.tlbEntries().find((e) => e.kind === "data" && e.asid === 3)!;
  assert.equal(entry, { kind: "data", va: 0x4000_3000, pa: DATA + 0x3000, asid: 3, priv: 1, global: true, level: 1, read: true, write: false });
});

test.run();
