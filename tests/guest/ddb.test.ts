// The debugger: each command against a machine whose state is known, and what is typed wrongly.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { ps } from "../../kernel/ddb/ps.ts";
import { Symbols } from "../../kernel/ddb/symbols.ts";
import { trace } from "../../kernel/ddb/trace.ts";
import { locks } from "../../kernel/ddb/locks.ts";
import { maps } from "../../kernel/ddb/maps.ts";
import { page } from "../../kernel/ddb/page.ts";
import { entries, memRuns, pagewalk } from "../../kernel/ddb/pagetable.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { DdbError, ddbCommand, panicReport } from "../../tools/ddb/commands.ts";
import { DdbConsole } from "../../tools/ddb/console.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ddb");

/** A machine on which init, a shell and `cat` are, all asleep. */
function sleeping(): Kernel {
  const silent = { read: () => 0, write: () => {} };
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: silent, ports: [silent, silent],
    bootargs: "stdio=ports", epochSeconds: 1_800_000_000,
  });
  const kernel = new Kernel(machine, { init: ["/sbin/init", "-c", "cat; true"] });
  while (kernel.run(1_000_000) === "budget") assert.ok(machine.hart.instret < 1e8, "it comes to rest");
  return kernel;
}

const kernel = sleeping(), pidOf = (command: string): number => ps(kernel).find((t) => t.command === command)!.pid;
const proc = kernel.kern.procs.get(pidOf("cat"))!, { pmap } = proc.vmspace.map;

test("ps shows who sleeps where", () => {
  const sleep = ps(kernel).find((t) => t.command === "cat")!;
  assert.is(sleep.state, "sleep");
  assert.is.not(sleep.wait, "");
  assert.is(ps(kernel).find((t) => t.pid === 1)!.ppid, 0);
  assert.is(ps(kernel).find((t) => t.command === "[pagedaemon]")!.state, "sleep");
  assert.match(ddbCommand(kernel, "ps").join("\n"), new RegExp(`^ *${sleep.pid} .* cat +cat\\+0x[0-9a-f]+$`, "m"));
});

test("maps agree with the page table", () => {
  const lines = maps(kernel, proc), resident = lines.reduce((n, l) => n + l.residentPages, 0);
  assert.is(resident, pmap.residentCount);
  assert.is(entries(kernel, pmap, "user").filter((e) => e.isLeaf).length, resident);
  const text = lines.find((l) => l.prot === "r-x" && l.path !== null)!;
  assert.is(text.path, "/bin/cat");
  assert.is(text.end > text.start, true);
  assert.ok(lines.some((l) => l.amap !== null && l.amap.refs === 1), "something is written to");
});

test("pagewalk ends at the page that page describes", () => {
  const text = maps(kernel, proc).find((l) => l.path === "/bin/cat" && l.residentPages > 0)!, leaf = entries(kernel, pmap, "user").find((e) => e.isLeaf && e.va >= text.start)!;
  const walk = pagewalk(kernel, pmap, leaf.va);
  assert.is(walk.pa, leaf.pa);
  assert.is(walk.steps.length, 3);
  const report = page(kernel, leaf.pa)!;
  assert.match(report.owner, /^vnode\d+:\d+$/);
  assert.ok(report.mappings.some((m) => m.pid === proc.pid && m.va === leaf.va));
  assert.is(pagewalk(kernel, pmap, 0).pa, null);
  assert.is(page(kernel, 0x1000), null);
  assert.is(page(kernel, kernel.machine.fdtPa), null, "the device tree's page is nobody's");
  assert.equal(ddbCommand(kernel, `page 0X${leaf.pa.toString(16)}`), ddbCommand(kernel, `page ${leaf.pa.toString(16)}`));
});

test("vmprint and mem have the forms that others print", () => {
  const lines = ddbCommand(kernel, `vmprint ${proc.pid}`);
  assert.match(lines[0]!, /^page table 0x[0-9a-f]+$/);
  assert.match(lines[1]!, /^ \.\.\d+: pte 0x[0-9a-f]{16} pa 0x[0-9a-f]{16}$/);
  assert.ok(lines.some((l) => /^ \.\. \.\. \.\.\d+: pte/.test(l)));
  const mem = ddbCommand(kernel, `mem ${proc.pid}`);
  assert.match(mem[2]!, /^[0-9a-f]{16} [0-9a-f]{16} [0-9a-f]{16} r[w-][x-]u[g-]a[d-]$/);
  const total = memRuns(kernel, pmap).filter((r) => r.attr.includes("u")).reduce((n, r) => n + r.size, 0);
  assert.is(total, pmap.residentCount * 4096);
});

test("locks, backtrace, counters and the invariants", () => {
  assert.equal(locks(kernel), []);
  const frames = trace(kernel, new Symbols(kernel), proc.mainThread), call = frames.findIndex((f) => f.what.startsWith("system call"));
  assert.match(frames[0]!.what, /^asleep at /);
  assert.ok(frames.slice(1, call).every((f) => f.where === "kernel" && f.what.startsWith("in ")));
  assert.match(frames[call]!.what, /^system call read\(0, 0x[0-9a-f]+, \d+\)$/);
  const text = maps(kernel, proc).find((l) => l.prot === "r-x")!;
  assert.ok(frames[call + 1]!.pc! >= text.start && frames[call + 1]!.pc! < text.end, "the pc lies in the program");
  assert.match(ddbCommand(kernel, "vmstat").join("\n"), /npages +\d+/);
  assert.equal(ddbCommand(kernel, "check"), ["every invariant holds"]);
  proc.vmspace.map.lock.tryRead();
  assert.is(locks(kernel).length, 1);
  proc.vmspace.map.lock.unlock();
  assert.match(ddbCommand(kernel, "tlb").join("\n"), /^data .* (r|-)(w|-)--$[^]*^fetch .* --x-$/m);
  assert.match(panicReport(kernel), /--- ps[^]*cat[^]*--- vmstat/);
});

test("what is typed wrongly is told in a line", () => {
  const wrong: [string, RegExp][] = [
    ["frobnicate", /no command/], ["p", /^p is short for ps and/], ["maps", /give a process number/], ["maps 99999", /no process 99999/], ["maps x", /process number/],
    ["pagewalk 1 zebra", /zebra: give an address/], ["page 0", /no page/], ["page 1 0", /not mapped/], [`pagewalk 1 ${"f".repeat(17)}`, /address/],
  ];
  for (const [line, message] of wrong) {
    try {
      ddbCommand(kernel, line);
      assert.unreachable(line);
    } catch (e) {
      assert.instance(e, DdbError, line);
      assert.match((e as Error).message, message, line);
    }
  }
});

test("the prompt edits a line, answers, and goes back", () => {
  let screen = "", resumed = 0, ended = 0;
  const prompt = new DdbConsole(kernel, { write: (text) => void (screen += text), resume: () => void resumed++, quit: () => void ended++ });
  const type = (text: string): void => prompt.keys(Buffer.from(text, "latin1"));
  prompt.enter("stopped");
  type("psx\x7f\r");
  assert.match(screen, /ddb> psx\x08 \x08\r\n *pid/);
  type("nonsense\r");
  assert.match(screen, /nonsense is no command/);
  type("\x1b[Ahelp\r");
  assert.match(screen, /pagewalk PID ADDRESS/);
  type("garbage\x15c\r");
  assert.is(resumed, 1);
  type("quit\r");
  assert.is(ended, 1);
});

test.run();
