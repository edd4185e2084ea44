// Backtraces: a program whose calls are known, with and without frame pointers; symbols of files in memory and on the disk.
import { chainOf, sleepChain } from "../../kernel/ddb/chain.ts";
import { vnodes } from "../../kernel/ddb/objects.ts";
import { readStill } from "../../kernel/ddb/stillread.ts";
import { Symbols } from "../../kernel/ddb/symbols.ts";
import { readSymbolTable } from "../../kernel/ddb/symtab.ts";
import { trace } from "../../kernel/ddb/trace.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { KRwLock } from "../../kernel/lib/klock.ts";
import { KContext, type KGen } from "../../kernel/lib/kthread.ts";
import { Ddb } from "../../tools/ddb/commands.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { TestSched } from "../helpers/ksched.ts";
import { atRest, program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ddb trace");

/** In the file the text begins at 128, and so it does in memory. */
const BASE = 0x10080, NAMES = ["_start", "outer", "middle", "inner", "reader", "other"];
const reader = "reader:\n li a0, 0\n addi a1, sp, -64\n li a2, 16\n li a7, 63\n ecall\n ret\n";

/** `middle` has a return address in its frame that is left from a call of somebody else; it calls `inner` by a pointer. */
const WITHOUT_FRAME_POINTERS = `
_start:
  call other
after_other:
  call outer
  j _start
outer:
  addi sp, sp, -32
  sd ra, 24(sp)
  call middle
  ld ra, 24(sp)
  addi sp, sp, 32
  ret
middle:
  addi sp, sp, -48
  sd ra, 40(sp)
  la t1, after_other
  sd t1, 16(sp)
  la t0, inner
  jalr t0
  ld ra, 40(sp)
  addi sp, sp, 48
  ret
inner:
  addi sp, sp, -16
  sd ra, 8(sp)
  call reader
  ld ra, 8(sp)
  addi sp, sp, 16
  ret
other:
  ret
${reader}`;

const frame = (name: string, callee: string): string =>
  `${name}:\n addi sp, sp, -32\n sd ra, 24(sp)\n sd s0, 16(sp)\n addi s0, sp, 32\n call ${callee}\n ld ra, 24(sp)\n ld s0, 16(sp)\n addi sp, sp, 32\n ret\n`;
const WITH_FRAME_POINTERS = `_start:\n li s0, 0\n call outer\n j _start\n${frame("outer", "middle")}${frame("middle", "inner")}${frame("inner", "reader")}${reader}`;

function resting(source: string, names: readonly string[]): Kernel {
  return atRest(["/prog/calls"], [program("calls", elfOf(assemble(source, BASE), BASE, names))]);
}

/** Names of the user frames, with the sign of doubt. */
function names(kernel: Kernel): string[] {
  const frames = trace(kernel, new Symbols(kernel), kernel.kern.procs.get(1)!.mainThread);
  return frames.filter((f) => f.where === "user").map((f) => `${f.symbol.replace(/\+.*/, "")}${f.isSure ? "" : " ?"}`);
}

test("without frame pointers the stack is searched: calls that lead elsewhere are left out, calls by a pointer are doubted", () => {
  assert.equal(names(resting(WITHOUT_FRAME_POINTERS, NAMES)), ["reader", "inner", "middle ?", "outer", "_start"]);
});

test("frame pointers are followed where the program keeps them", () => {
  const kernel = resting(WITH_FRAME_POINTERS, NAMES), frames = trace(kernel, new Symbols(kernel), kernel.kern.procs.get(1)!.mainThread);
  assert.equal(names(kernel), ["reader", "inner", "middle", "outer", "_start"]);
  assert.equal(frames.slice(-3).map((f) => f.what), ["frame", "frame", "frame"]);
});

test("a stripped program shows the file and the address in it", () => {
  const found = names(resting(WITHOUT_FRAME_POINTERS, []));
  assert.is(found[0], "calls");
  assert.ok(found.length >= 4);
});

test("the command shows the sleep, the system call with its arguments, and names with offsets", () => {
  const ddb = new Ddb(resting(WITH_FRAME_POINTERS, NAMES)), lines = ddb.command("trace 1");
  assert.is(lines[0], "thread 1 of calls");
  assert.match(lines[1]!, /^ {2}kernel asleep at /);
  const call = lines.findIndex((l) => l.startsWith("  kernel system call"));
  assert.match(lines[2]!, /^ {2}kernel in VPortOps\.read \(\S+:\d+\)$/);
  assert.match(lines[call - 1]!, /^ {2}kernel in slowSyscall \(/);
  assert.match(lines[call]!, /^ {2}kernel system call read\(0, 0x[0-9a-f]+, 16\)$/);
  assert.match(lines[call + 1]!, /^ {2}user pc {4}0x[0-9a-f]{10} reader\+0x14 \(sp 0x[0-9a-f]+\)$/);
  assert.match(lines[call + 2]!, /^ {2}user ra {4}0x[0-9a-f]{10} inner\+0x[0-9a-f]+$/);
  assert.equal(ddb.command("backtrace 1"), lines);
  assert.match(ddb.command("ps").join("\n"), /^ *1 +1 +0 +sleep .* calls +reader\+0x14$/m);
});

test("a file's parts that are not in memory are read from the disk while the guest stands still, and the guest goes on", () => {
  const kernel = atRest(["/sbin/init", "-c", "cat; true"]), shell = [...vnodes(kernel)].find((v) => kernel.kern.pathOfVnode(v) === "/bin/sh");
  assert.ok(shell !== undefined);
  const v = shell, pages = Math.ceil(v.vSize / 4096);
  assert.ok(v.uobj.npages < pages, "not all of it was needed so far");
  const { instret } = kernel.machine.hart, queued = kernel.kern.sched.queueLength, bytes = readStill(kernel, v, 0, v.vSize)!;
  assert.is(bytes.length, v.vSize);
  assert.is(readSymbolTable((at, n) => bytes.subarray(at, at + n))?.count, 0, "an ELF file without symbols");
  assert.equal([v.uobj.npages, kernel.machine.hart.instret, kernel.kern.sched.queueLength], [pages, instret, queued]);
  assert.is(readStill(kernel, v, v.vSize, 1), null);
  assert.is(kernel.run(1_000_000), "idle");
  assert.equal(new Ddb(kernel).command("check"), ["every invariant holds"]);
});

test("damaged tables give no names and no failure", () => {
  const whole = elfOf(assemble(WITH_FRAME_POINTERS, BASE), BASE, NAMES);
  assert.is(readSymbolTable((at, n) => whole.subarray(at, at + n))!.at(BASE)!.name, "_start");
  for (let i = 0; i < whole.length; i += 3) {
    const bad = whole.slice();
    bad[i] = 0xff;
    const table = readSymbolTable((at, n) => (at + n <= bad.length ? bad.subarray(at, at + n) : null));
    table?.at(BASE);
    table?.vaOfOffset(128);
  }
  assert.is(readSymbolTable(() => null), null);
});

test("the report of a panic has the way of the thread that ran", () => {
  const kernel = resting(WITH_FRAME_POINTERS, NAMES);
  kernel.run(1_000);
  assert.match(new Ddb(kernel).panicReport(), /^panic: [^]*--- backtrace 1: [^]*user pc [^]*reader\+0x14[^]*--- ps/);
});

/** Two kernel functions, one in the other, that wait for a lock that another thread holds and sleeps with. */
function* outerFunction(l: KRwLock, log: string[]): KGen<void> {
  try {
    yield* innerFunction(l, log);
  } finally {
    log.push("done");
  }
}

function* innerFunction(l: KRwLock, log: string[]): KGen<void> {
  log.push("waits");
  yield* l.write();
  log.push("has it");
  l.unlock();
}

test("a sleeping thread tells the kernel functions it is in, and sleeps on as if nobody had asked", () => {
  const ctx = new KContext(), sched = new TestSched(ctx), lock = new KRwLock(ctx, "the lock"), log: string[] = [];
  const holder = sched.spawn("holder", (function* () {
    yield* lock.write();
    yield* ctx.sleep(log, "holding");
    lock.unlock();
  })());
  sched.runUntil(holder, "holding");
  const t = sched.spawn("asked", outerFunction(lock, log));
  sched.settle();
  const { sleep } = t;
  assert.is(lock.writer, holder);
  for (let i = 0; i < 3; i++) assert.equal(sleepChain(ctx, t).map((f) => f.name).slice(-2), ["innerFunction", "outerFunction"]);
  assert.match(sleepChain(ctx, t).at(-1)!.place, /trace\.test\.\w+:\d+$/);
  assert.equal([t.sleep, log], [sleep, ["waits"]]);
  ctx.wakeup(log);
  sched.finish(t);
  assert.equal(log, ["waits", "has it", "done"]);
  assert.equal(sleepChain(ctx, t), []);
});

test("stacks of other engines are read, and what is none gives no chain", () => {
  const firefox = "question@http://h/page.js:1:2\nanswer@http://h/page.js:2:2\nsleep@http://h/page.js:3:2\nwait4@http://h/page.js:4:2\naskSleeper@http://h/page.js:5:2\nsleepChain@x:6:2";
  assert.equal(chainOf(firefox), [{ name: "wait4", place: "h/page.js:4" }]);
  for (const none of ["", "Error", "sleep@a/b:1:2", "askSleeper@a/b:1:2\nsleep@a/b:1:2"]) assert.equal(chainOf(none), []);
});

test("every thread of a busy system can be asked: what it does is not changed", () => {
  const kernel = atRest(["/sbin/init", "-c", "cat | wc; true"]), ddb = new Ddb(kernel);
  assert.match(ddb.command("trace pagedaemon").join("\n"), /^kernel thread pagedaemon\n {2}kernel asleep at pgdaemon[^]*PageDaemon\.main/);
  for (const p of kernel.kern.procs.keys()) assert.match(ddb.command(`trace ${p}`).join("\n"), /kernel in slowSyscall/);
  assert.is(kernel.run(1_000_000), "idle");
  assert.equal(ddb.command("check"), ["every invariant holds"]);
});

test.run();
