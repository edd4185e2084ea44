// Restartable sequences: who may register what, and where a thread goes on that was interrupted in one.
import { rseqInterrupted, rseqRegister } from "../../kernel/kern/rseq.ts";
import { EBUSY, EFAULT, EINVAL, EPERM } from "../../kernel/lib/errno.ts";
import { KernBox, USER_VA } from "../helpers/kernbox.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("rseq"), SIG = 0xf1401073 | 0, AREA = USER_VA, CS = USER_VA + 64, START = USER_VA + 256, LENGTH = 32, ABORT = USER_VA + 512;

function boxed() {
  const box = new KernBox(), t = box.me.mainThread;
  box.mapUser(1);
  const register = (va: number, len = 32, flags = 0, sig = SIG): number => box.run(rseqRegister(box.k, t, va, len, flags, sig));
  return { box, t, register };
}

/** A thread in a stretch from START, whose description is changed by `change`. => what it got, where it goes on, what rseq_cs is then */
function interruptedAt(pc: number, change: (cs: DataView) => void = () => {}, signature = SIG): { result: number; pc: number; cs: number } {
  const { box, t, register } = boxed(), cs = new DataView(new ArrayBuffer(32)), pointer = new DataView(new ArrayBuffer(8)), word = new DataView(new ArrayBuffer(4));
  assert.is(register(AREA), 0);
  cs.setBigInt64(8, BigInt(START), true);
  cs.setBigInt64(16, BigInt(LENGTH), true);
  cs.setBigInt64(24, BigInt(ABORT), true);
  change(cs);
  pointer.setBigInt64(0, BigInt(CS), true);
  word.setInt32(0, signature, true);
  box.poke(CS, cs);
  box.poke(AREA + 8, pointer);
  box.poke(ABORT - 4, word);
  box.k.sched.setPc(t, pc);
  const result = box.run(rseqInterrupted(box.k, t));
  return { result, pc: box.k.sched.getPc(t), cs: Number(box.peek(AREA + 8, 8).getBigInt64(0, true)) };
}

test("registering: length, alignment, flags, twice, by another signature, and back", () => {
  const { box, register } = boxed();
  assert.is(register(AREA + 8), -EINVAL);
  assert.is(register(AREA, 16), -EINVAL);
  assert.is(register(AREA, 32, 2), -EINVAL);
  assert.is(register(AREA, 32, 1), -EINVAL, "nothing is registered");
  assert.is(register(0x7000_0000), -EFAULT);
  box.poke(AREA, new Int32Array([-1, -1]));
  assert.is(register(AREA), 0);
  assert.is(box.peek(AREA, 8).getInt32(4, true), 0, "cpu_id");
  assert.is(register(AREA), -EBUSY);
  assert.is(register(AREA, 32, 0, 1), -EPERM);
  assert.is(register(AREA + 32), -EINVAL);
  assert.is(register(AREA, 32, 1, 1), -EPERM);
  assert.is(register(AREA, 32, 1), 0);
  assert.is(box.peek(AREA, 8).getInt32(4, true), -1, "cpu_id: uninitialized");
  assert.is(register(AREA + 32), 0);
});

test("in its stretch a thread goes on at the abort address, elsewhere where it was; the stretch is over either way", () => {
  assert.equal(interruptedAt(START), { result: 0, pc: ABORT, cs: 0 });
  assert.equal(interruptedAt(START + LENGTH - 2), { result: 0, pc: ABORT, cs: 0 });
  assert.equal(interruptedAt(START + LENGTH), { result: 0, pc: START + LENGTH, cs: 0 });
  assert.equal(interruptedAt(START - 2), { result: 0, pc: START - 2, cs: 0 });
});

test("a wrong signature, version or abort address is a fault", () => {
  assert.is(interruptedAt(START, () => {}, 0).result, -EFAULT);
  assert.is(interruptedAt(START, (cs) => cs.setUint32(0, 1, true)).result, -EFAULT);
  assert.is(interruptedAt(START, (cs) => cs.setBigInt64(24, BigInt(START + 4), true)).result, -EFAULT);
});

test("without a stretch, or without registration, nothing happens", () => {
  const { box, t, register } = boxed();
  box.k.sched.setPc(t, START);
  assert.is(box.run(rseqInterrupted(box.k, t)), 0);
  register(AREA);
  assert.is(box.run(rseqInterrupted(box.k, t)), 0);
  assert.is(box.k.sched.getPc(t), START);
});

test.run();
