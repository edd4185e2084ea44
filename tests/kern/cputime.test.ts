// CPU time: equal to the instructions under the virtual clock; under the host's, what the host took to run them, and never more
// than went by. Timers on CPU time, and RLIMIT_CPU.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { VirtualClock } from "../../emu/time/clock.ts";
import { SystemTime } from "../../kernel/kern/systime.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { packCpio } from "../../tools/cpio.ts";
import { Pacer } from "../../tools/host/pace.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { rootImage, runGuest } from "../helpers/guest.ts";
import { program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("cputime"), BASE = 0x10080, image = rootImage();
const prog = (name: string, source: string) => program(name, elfOf(assemble(source, BASE), BASE, ["_start"]));

/** Assembly: system call `nr`; arguments are expressions. */
const call = (nr: number, ...args: (number | string)[]): string => `${args.map((a, i) => ` li a${i}, ${a}\n`).join("")} li a7, ${nr}\n ecall\n`;
const CLOCK_GETTIME = 113, EXIT = 93, SETITIMER = 103, PRLIMIT = 261, SIGACTION = 134, TIMER_CREATE = 107, TIMER_SETTIME = 110, CLOCK_NANOSLEEP = 115;

interface HostRun { out: string; status: number; kernel: Kernel }

/** A command on a host that needs `nsPerInsn` for an instruction, as the pacer tells it the guest. `readingNs`: the host's clock can be read,
 *  and so much goes by from one reading to the next at least. */
function onHost(command: string, nsPerInsn: number, files: Parameters<typeof packCpio>[0] = [], readingNs = 0): HostRun {
  const out: string[] = [], silent = { read: () => -1, write: () => {} };
  const stdout = { read: () => -1, write: (b: Uint8Array) => void out.push(Buffer.from(b).toString("latin1")) };
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(image, { readOnly: true }))], console: silent, ports: [stdout, silent],
    bootargs: "stdio=ports", epochSeconds: 1_800_000_000, ...(files.length === 0 ? {} : { initrd: packCpio(files) }),
  });
  const kernel = new Kernel(machine, { init: ["/sbin/init", "-c", command] }), { clock, hart } = machine;
  clock.nsPerInsn = 1 / 16;
  let hostNs = 0, from = 0, read = 0;
  if (readingNs > 0) clock.hostNs = () => hostNs + (hart.instret - from) * nsPerInsn + (read += readingNs);
  for (let why = "budget", slice = 0; why !== "halted"; slice++) {
    assert.ok(slice < 20_000 && why !== "idle", `it ends: ${out.join("")}`);
    from = hart.instret;
    read = 0;
    why = kernel.run(50_000, hostNs + 1e12);
    if (kernel.panicked) throw kernel.panicked;
    hostNs = Math.max(hostNs + (hart.instret - from) * nsPerInsn + read, clock.now);
    [from, read] = [hart.instret, 0];
    while (clock.now < hostNs) clock.catchUp(hostNs);
  }
  return { out: out.join(""), status: kernel.exitCode ?? -1, kernel };
}

const BUSY = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); done; ";
/** Seconds of the first line of `times`, and of uptime. */
const TIMES = `read up idle < /proc/uptime; ${BUSY} times; read end idle2 < /proc/uptime; echo $up $idle $end $idle2`;

function timesOf(out: string): { user: number; elapsed: number; idle: number } {
  const [self, , line] = out.split("\n"), [up, idle, end, idle2] = line!.split(" ").map(Number) as [number, number, number, number];
  return { user: parseFloat(self!), elapsed: end - up, idle: idle2 - idle };
}

test("a busy loop's CPU time is the time that went by, whatever an instruction takes the host", () => {
  for (const nsPerInsn of [200, 2000]) {
    const { user, elapsed, idle } = timesOf(onHost(TIMES, nsPerInsn).out);
    assert.ok(elapsed > 0.5 && user >= 0.9 * elapsed && idle <= 0.1 * elapsed + 0.02, `${user} s of ${elapsed}, idle ${idle}`);
    assert.ok(user <= elapsed + 0.05 * elapsed + 0.02, `${user} s of ${elapsed}`);
  }
});

test("a process that sleeps is charged nothing, and the time is idle", () => {
  const { user, elapsed, idle } = timesOf(onHost(TIMES.replace(BUSY, "sleep 3; "), 20).out);
  assert.ok(elapsed >= 3 && elapsed < 3.5 && user < 0.2 && idle > 2.8, `${user} s of ${elapsed}, idle ${idle}`);
});

test("under the virtual clock CPU time is the instructions, each time the same", () => {
  const runs = [0, 1].map(() => runGuest(TIMES)), { user, elapsed } = timesOf(runs[0]!.out);
  assert.is(runs[0]!.out, runs[1]!.out);
  assert.ok(user <= elapsed + 0.01 && Math.abs(user - elapsed) < 0.2);
  assert.is(runs[0]!.kernel.machine.clock.lateNs, 0);
  assert.match(runs[0]!.out, /^\S+ 0\S*00s\n/, "the kernel takes none of the virtual clock's time");
});

test("what the kernel takes of the host's time is system time; the sum is what went by", () => {
  const works = prog("works", `_start:\n li t0, 1000000\nloop:\n addi t0, t0, -1\n bnez t0, loop\n${call(EXIT, 0)}`);
  const r = onHost(`read up idle < /proc/uptime; (for i in 1 2 3 4 5 6 7 8 9; do ls / > /dev/null; done; times); (/prog/works; times)
    times; read end idle2 < /proc/uptime; echo $up $idle $end $idle2; grep '^cpu ' /proc/stat`, 200, [works], 2_500_000);
  const lines = r.out.trim().split("\n").map((l) => (l.match(/[\d.]+/g) ?? []).map(Number));
  const [, calls, , loop, self, children, clock, stat] = lines as number[][], [up, , end] = clock!, used = [...self!, ...children!].reduce((sum, s) => sum + s);
  assert.ok(calls![1]! > 0.5 * calls![0]!, `commands that call: ${r.out}`);
  assert.ok(loop![0]! > 0.35 && loop![1]! < 0.3 * loop![0]!, `a loop that does not: ${r.out}`);
  assert.ok(used <= 1.05 * (end! - up!) + 0.2 && used >= 0.8 * (end! - up!), `${used} of ${end! - up!}: ${r.out}`);
  assert.ok(stat![2]! >= 100 * children![1]! - 5, `system time of all processes: ${r.out}`);
});

test("of short traps few are measured, and stand for all", () => {
  const clock = { now: 0, hostNs: (): number => (clock.now += 40) }, system = new SystemTime(clock);
  for (let i = 0; i < 10_000; i++) {
    const trap = (): void => void (clock.now += i % 2 === 0 ? 100 : 300);
    if (system.isSample()) system.sample(trap);
    else trap();
  }
  const share = system.share(1e12);
  assert.ok(Math.abs(share - 2e6) < 2e5, `${share} of 2000000 ns`);
  assert.is(system.share(1e12), 0, "charged once");
  const silent = new SystemTime({ hostNs: null });
  for (let i = 0; i < 1000; i++) if (silent.isSample()) silent.sample(() => {});
  silent.ran(silent.begins());
  assert.is(silent.share(1e12), 0);
});

test("the pacer's slices grow for a guest that works, and what the host took for them is no waiting", async () => {
  const hart = { instret: 0 }, clock = new VirtualClock(hart), slices: number[] = [];
  const run = (max: number): "budget" => {
    slices.push(max);
    // As on a host that takes longer than the clock says.
    for (const until = performance.now() + 0.02; performance.now() < until;) hart.instret += 100;
    hart.instret = slices.reduce((n, v) => n + v, 0);
    return "budget";
  };
  await new Pacer({ run }, { machine: { clock, hart }, clock: "host", stopped: () => slices.length >= 12 }).run();
  assert.equal(slices.slice(0, 9), [20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 4_000_000]);
  assert.ok(clock.lateNs > 0 && clock.lateNs <= clock.skippedNs && clock.busyNs <= clock.now);
});

test("two busy processes share: their times sum up to what went by", () => {
  const r = onHost(`read up idle < /proc/uptime; (${BUSY}) & (${BUSY}) & wait; times; read end idle2 < /proc/uptime; echo $up $idle $end $idle2`, 500);
  const [self, children, line] = r.out.split("\n"), [up, , end] = line!.split(" ").map(Number) as [number, number, number];
  const sum = parseFloat(self!) + parseFloat(children!);
  assert.ok(sum <= 1.05 * (end - up) + 0.05 && sum >= 0.8 * (end - up), `${sum} of ${end - up}`);
});

/** Sets a limit of the process's own: soft and hard in seconds. */
const limit = (soft: number, hard: number): string => ` la a2, lim\n li t0, ${soft}\n sd t0, 0(a2)\n li t0, ${hard}\n sd t0, 8(a2)\n mv t1, a2\n${call(PRLIMIT, 0, 0)}`
  .replace(" li a7", " mv a2, t1\n li a3, 0\n li a7");
const SPIN = "spin: j spin\n", DATA = " .align 3\nlim: .space 64\nact: .space 64\nid: .space 8\n";

test("RLIMIT_CPU: SIGXCPU at the soft limit, which rises by a second each time; SIGKILL at the hard one", () => {
  const dies = prog("dies", `_start:\n${limit(2, 5)}${SPIN}${DATA}`);
  const ignores = prog("ignores", `_start:\n${limit(1, 3)} la a1, act\n li t0, 1\n sd t0, 0(a1)\n li a0, 24\n li a2, 0\n li a3, 8\n li a7, ${SIGACTION}\n ecall\n${SPIN}${DATA}`);
  const r = onHost("/prog/dies; echo $?; times; /prog/ignores; echo $?; times", 1000, [dies, ignores]), lines = r.out.split("\n");
  const [a, b] = [parseFloat(lines[2]!), parseFloat(lines[5]!)];
  assert.equal([lines[0], lines[3]], ["152", "137"], r.out);
  assert.ok(a >= 2 && a < 2.3 && b - a >= 3 && b - a < 3.3, `${a} ${b}`);
});

test("a child inherits RLIMIT_CPU with its own clock, and nothing is awake for a limited process that sleeps", () => {
  const child = prog("child", `_start:\n${limit(1, 9)}${call(220, 17, 0, 0, 0, 0)} bnez a0, parent\n${SPIN}parent:\n${call(260, -1, 0, 0, 0)}${call(EXIT, 7)}${DATA}`);
  const r = onHost("/prog/child; echo $?", 1000, [child]);
  assert.is(r.out, "7\n");
});

test("ITIMER_VIRTUAL and ITIMER_PROF count CPU time: exact to the instruction, and not while one sleeps", () => {
  for (const [which, status] of [[1, 154], [2, 155]] as const) {
    const timed = prog("timed", `_start:\n la a1, lim\n li t0, 20000\n sd t0, 24(a1)\n li a0, ${which}\n li a2, 0\n li a7, ${SETITIMER}\n ecall
 la a2, act\n li t0, 5\n sd t0, 0(a2)\n mv a0, zero\n mv a1, zero\n li a3, 0\n li a7, ${CLOCK_NANOSLEEP}\n ecall\n${SPIN}${DATA}`);
    const r = runGuest("/prog/timed; echo $?; times", { files: [timed], maxInsns: 2e8 }), lines = r.out.split("\n");
    assert.is(lines[0], String(status));
    assert.match(lines[2]!, /^0\.0[23]s/);
  }
});

test("timer_create on a CPU-time clock, and clock_nanosleep on another process's", () => {
  const timed = prog("timed", `_start:\n li a0, 3\n li a1, 0\n la a2, id\n li a7, ${TIMER_CREATE}\n ecall\n bnez a0, bad\n la t1, id\n lw a0, 0(t1)\n li a1, 0\n la a2, lim
 li t0, 30000000\n sd t0, 24(a2)\n li a3, 0\n li a7, ${TIMER_SETTIME}\n ecall\n bnez a0, bad\n${SPIN}bad:\n${call(EXIT, 1)}${DATA}`);
  const r = runGuest("/prog/timed; echo $?; times", { files: [timed], maxInsns: 2e8 }), lines = r.out.split("\n");
  assert.is(lines[0], "142", "SIGALRM");
  assert.match(lines[2]!, /^0\.0[34]s/);
  // The child spins; its parent sleeps for 50 ms of the child's time, then kills it.
  const waits = prog("waits", `_start:\n${call(220, 17, 0, 0, 0, 0)} beqz a0, spin\n mv s0, a0\n not a0, s0\n slli a0, a0, 3\n addi a0, a0, 2\n li a1, 0\n la a2, lim\n li t0, 50000000
 sd t0, 8(a2)\n li a3, 0\n li a7, ${CLOCK_NANOSLEEP}\n ecall\n mv s1, a0\n mv a0, s0\n li a1, 9\n li a7, 129\n ecall\n li a0, -1\n li a1, 0\n li a2, 0\n li a3, 0\n li a7, 260\n ecall
 li a0, 3\n li a1, 0\n la a2, lim\n li a3, 0\n li a7, ${CLOCK_NANOSLEEP}\n ecall\n addi a0, a0, 22\n add a0, a0, s1\n li a7, ${EXIT}\n ecall\n${SPIN}${DATA}`);
  const w = runGuest("/prog/waits; echo $?; times", { files: [waits], maxInsns: 2e8 }), wl = w.out.split("\n");
  assert.is(wl[0], "0", "0 for the child's clock, EINVAL for one's own");
  assert.match(wl[2]!, /^0\.0[56]s/);
});

test("CLOCK_THREAD_CPUTIME_ID goes with the instructions of the thread", () => {
  const t = prog("t", `_start:\n${call(CLOCK_GETTIME, 3).replace(" li a7", " la a1, lim\n li a7")}${call(CLOCK_GETTIME, 3).replace(" li a7", " la a1, act\n li a7")} la t0, lim\n ld t1, 8(t0)
 la t0, act\n ld t2, 8(t0)\n sub a0, t2, t1\n li a7, ${EXIT}\n ecall\n${DATA}`);
  assert.is(runGuest("/prog/t; echo $?", { files: [t] }).out, "4\n", "4 instructions lie between the system calls: 4 ns");
});

test.run();
