// Memory that is locked page by page, as faults bring it in: MLOCK_ONFAULT and MCL_ONFAULT.
import { ENOMEM } from "../../kernel/lib/errno.ts";
import { lockedBytes, MLOCK_CALLS } from "../../kernel/sys/mlock.ts";
import { MM_CALLS } from "../../kernel/sys/mm.ts";
import { vmcheck } from "../../kernel/uvm/check.ts";
import { INH_SHARE } from "../../kernel/uvm/mapentry.ts";
import { uvmMapProtect } from "../../kernel/uvm/mapops.ts";
import { uvmMapPageable } from "../../kernel/uvm/mapwire.ts";
import { uvmMremap } from "../../kernel/uvm/mremap.ts";
import type { Vmspace } from "../../kernel/uvm/vmspace.ts";
import { bootVm, MODES, modeName, PAGE, R, RW, type TestVm } from "../helpers/bootvm.ts";
import { KernBox } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";
import { TestFile } from "../helpers/testfile.ts";

const VA = 0x400000, TO = 0x800000;

const lock = (t: TestVm, vm: Vmspace, n: number, onFault = true): number => t.run(uvmMapPageable(vm.map, VA, VA + n * PAGE, { wire: true, onFault }));
const unlock = (t: TestVm, vm: Vmspace, n: number): number => t.run(uvmMapPageable(vm.map, VA, VA + n * PAGE, { wire: false }));

for (const mode of MODES) {
  const test = suite(`uvm mlock on fault (${modeName(mode)})`);

  test("what is there is locked at once, and the rest as it is touched; nothing is brought in", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 16);
    t.store(vm, VA, 1);
    assert.is(lock(t, vm, 16), 0);
    t.check();
    assert.is(t.exp.wired, 1);
    t.store(vm, VA + 5 * PAGE, 2);
    t.load(vm, VA + 9 * PAGE);
    t.load(vm, VA + 9 * PAGE);
    t.check();
    assert.is(t.exp.wired, 3);
    assert.is(t.exp.anonpages, 3);
    assert.is(unlock(t, vm, 8), 0);
    t.check();
    assert.is(t.exp.wired, 1);
    t.store(vm, VA + 6 * PAGE, 2);
    assert.is(t.exp.wired, 1);
    t.free(vm);
    assert.is(t.exp.wired, 0);
  });

  test("a page that loses its mapping is locked once, and one that a store replaces is not locked any more", () => {
    const t = bootVm(mode), vm = t.space(), file = new TestFile(t, 4);
    file.vref();
    t.map(vm, VA, 4, { uobj: file.uobj, copyOnWrite: true, prot: R });
    assert.is(lock(t, vm, 4), 0);
    assert.is(t.load(vm, VA), 1);
    assert.is(t.run(uvmMapProtect(vm.map, VA, VA + 4 * PAGE, 0)), 0);
    assert.is(t.run(uvmMapProtect(vm.map, VA, VA + 4 * PAGE, RW)), 0);
    t.check();
    assert.is(t.exp.wired, 1);
    assert.is(t.store(vm, VA, 9), 0);
    t.check();
    assert.is(t.exp.wired, 1, "the private page, and not the file's");
    assert.is(unlock(t, vm, 4), 0);
    assert.is(t.exp.wired, 0);
    t.free(vm);
    t.check();
  });

  test("two who lock a page of a file have it locked until both let go", () => {
    const t = bootVm(mode), vm = t.space(), other = t.space(), file = new TestFile(t, 4), shared = { uobj: file.uobj, copyOnWrite: false, inherit: INH_SHARE };
    for (const s of [vm, other]) {
      file.vref();
      t.map(s, VA, 4, shared);
    }
    assert.is(lock(t, other, 1, false), 0);
    assert.is(lock(t, vm, 4), 0);
    assert.is(unlock(t, vm, 4), 0);
    assert.is(t.exp.wired, 1, "not locked through this one yet");
    t.check();
    assert.is(lock(t, vm, 4), 0);
    t.load(vm, VA);
    t.check();
    assert.is(unlock(t, other, 1), 0);
    assert.is(t.exp.wired, 1);
    t.free(vm, other);
    assert.is(t.exp.wired, 0);
  });

  test("it moves, grows and splits, and a child has nothing of it", () => {
    const t = bootVm(mode), vm = t.space();
    t.map(vm, VA, 8);
    assert.is(lock(t, vm, 8), 0);
    for (const i of [0, 3, 7]) t.store(vm, VA + i * PAGE, i + 1);
    const child = t.fork(vm);
    t.check();
    assert.is(t.exp.wired, 3);
    t.store(child, VA + PAGE, 1);
    assert.is(t.exp.wired, 3);
    const req = { from: VA, oldSize: 8 * PAGE, size: 12 * PAGE, to: TO, fixed: true, mayMove: true, keepOld: false };
    assert.is(t.run(uvmMremap(vm.map, req)), TO);
    t.check();
    t.store(vm, TO + 11 * PAGE, 5);
    assert.is(t.exp.wired, 4);
    assert.equal([0, 3, 7].map((i) => t.load(vm, TO + i * PAGE)), [1, 4, 8]);
    t.unmap(vm, TO + 2 * PAGE, 2);
    t.check();
    assert.is(t.exp.wired, 3);
    assert.is(t.run(uvmMremap(vm.map, { ...req, from: TO + 4 * PAGE, oldSize: 4 * PAGE, size: 4 * PAGE, to: VA, keepOld: true })), VA);
    t.check();
    t.store(vm, TO + 5 * PAGE, 1);
    assert.is(t.exp.wired, 3, "the old place is not locked");
    t.free(vm, child);
    t.check();
    assert.is(t.exp.wired, 0);
  });

  test.run();
}

const test = suite("mlock2 and mlockall on fault");
const MMAP = 222, MLOCK = 228, MUNLOCKALL = 231, MLOCKALL = 230, MLOCK2 = 284, CURRENT = 1, FUTURE = 2, ONFAULT = 4;

class LockBox extends KernBox {
  call(nr: number, ...args: number[]): number {
    return this.run(this.syscall([...MM_CALLS, ...MLOCK_CALLS], nr, this.me.mainThread, ...args));
  }

  get locked(): number[] {
    assert.equal(vmcheck(this.uvm), []);
    return [lockedBytes(this.me.vmspace.map) / PAGE, this.uvm.exp.wired];
  }
}

test("mlock2 on fault brings nothing in, and mlock makes it whole", () => {
  const box = new LockBox(), va = box.call(MMAP, 0, 8 * PAGE, 3, 0x22, -1, 0);
  box.poke(va, Uint8Array.of(1));
  assert.is(box.call(MLOCK2, va, 8 * PAGE, 1), 0);
  assert.equal(box.locked, [8, 1]);
  box.poke(va + PAGE, Uint8Array.of(1));
  assert.equal(box.locked, [8, 2]);
  assert.is(box.call(MLOCK, va, 4 * PAGE), 0);
  assert.equal(box.locked, [8, 4]);
  assert.is(box.call(MLOCK2, va, 8 * PAGE, 1), 0);
  assert.equal(box.locked, [8, 4]);
  assert.is(box.call(MLOCK2, va, 9 * PAGE, 1), -ENOMEM);
  assert.is(box.call(MUNLOCKALL), 0);
  assert.equal(box.locked, [0, 0]);
});

test("mlockall on fault: what there is, and what will be", () => {
  const box = new LockBox(), va = box.call(MMAP, 0, 4 * PAGE, 3, 0x22, -1, 0);
  assert.is(box.call(MLOCKALL, CURRENT | ONFAULT), 0);
  assert.equal(box.locked, [4, 0]);
  box.call(MMAP, 0, PAGE, 3, 0x22, -1, 0);
  assert.equal(box.locked, [4, 0]);
  assert.is(box.call(MLOCKALL, FUTURE | ONFAULT), 0);
  const later = box.call(MMAP, 0, 1 << 22, 3, 0x22, -1, 0);
  assert.equal(box.locked, [4 + 1024, 0], "more than there is memory");
  box.poke(later + 500 * PAGE, Uint8Array.of(1));
  box.poke(va, Uint8Array.of(1));
  assert.equal(box.locked, [4 + 1024, 2]);
  assert.is(box.call(MUNLOCKALL), 0);
  box.call(MMAP, 0, PAGE, 3, 0x22, -1, 0);
  assert.equal(box.locked, [0, 0]);
});

test.run();
