// ddb about the translator, the profile, and what the emulator takes of the host's memory.
import { Ddb } from "../../tools/ddb/commands.ts";
import { machineMemory, memoryFigures, OverheadPeak } from "../../tools/host/memory.ts";
import { newMemory } from "../../emu/hart/hart.ts";
import { RAM_OFFSET } from "../../emu/hart/layout.ts";
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { packCpio } from "../../tools/cpio.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { loanword } from "../helpers/cli.ts";
import { rootImage } from "../helpers/guest.ts";
import { program } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("ddb engine"), BASE = 0x10080;
const isLinux = process.platform === "linux" ? "" : "only Linux tells which pages of a process are resident";

/** Spends most of its time in `hot`. */
const SPINS = `
_start:
  li s0, 200
1:
  call hot
  call cold
  j 1b
hot:
  li t0, 100000
2:
  addi t0, t0, -1
  bnez t0, 2b
  ret
cold:
  li t0, 10
3:
  addi t0, t0, -1
  bnez t0, 3b
  ret
`.replace(/\b1:/, "again:").replace("1b", "again").replace(/\b2:/, "turn:").replace("2b", "turn").replace(/\b3:/, "round:").replace("3b", "round");

function spinning(engine: "jit" | "interp"): Ddb {
  const silent = { read: () => 0, write: () => {} }, elf = elfOf(assemble(SPINS, BASE), BASE, ["_start", "hot", "cold"]);
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: silent, ports: [silent, silent],
    // What is counted here depends on translations that stay, also where all tests run with --engine stress.
    bootargs: "stdio=ports", engine, tuning: {}, initrd: packCpio([program("spins", elf)]),
  });
  const kernel = new Kernel(machine, { init: ["/prog/spins"] }), ddb = new Ddb(kernel);
  for (let i = 0; i < 60; i++) if (kernel.run(200_003) === "budget") ddb.profile.sample();
  return ddb;
}

const translatedShare = ({ kernel: { machine: { hart } } }: Ddb): number => hart.engine!.counts().translatedRetired / hart.instret;

test("the hottest function is named, and its samples lie in translated code", () => {
  const ddb = spinning("jit"), { profile } = ddb, lines = ddb.command("engine").join("\n");
  assert.ok(profile.samples >= 40, `${profile.samples} samples`);
  assert.is(profile.hottest(1)[0]!.name, "hot");
  assert.ok(profile.hottest(1)[0]!.samples > 0.9 * profile.samples);
  assert.ok(profile.translated > 0.8 * profile.samples);
  assert.match(lines, /^jit: .*after \d+ jumps/m);
  assert.ok(translatedShare(ddb) > 0.95, "nearly all runs in the two loops");
  assert.match(lines, /^retired +\d+ instructions, 9\d\.\d % in translated code/m);
  assert.match(lines, /^modules +\d+ of 2000 \(\d+\.\d %\), 0 only pinned by callers; wasm \d\.\d % of 8\.0 MiB$/m);
  assert.match(lines, /^now +[1-9]\d* regions? of \d+ instructions on \d+ pages?; \d+ KiB of wasm/m);
  assert.match(lines, /^cells +\d+ of 16384 \(\d/m);
  assert.match(lines, /^ +\d+ +[\d.]+ % +hot +\/prog\/spins$/m);
});

test("an interpreted machine says so, and its samples are named as well", () => {
  const ddb = spinning("interp"), lines = ddb.command("engine").join("\n");
  assert.match(lines, /^everything is interpreted$/m);
  assert.match(lines, /^ +\d+ +[\d.]+ % +hot +/m);
  assert.is(ddb.profile.translated, 0);
});

test("what is in use falls when everything is forgotten", () => {
  const { engine } = spinning("jit").kernel.machine.hart, before = engine!.report();
  assert.ok(before.regions > 0 && before.cells > 0 && before.slots === before.regions && before.wasmBytes > 0);
  engine!.flush();
  const { regions, insns, wasmBytes, cells, slots, pages } = engine!.report();
  assert.equal([regions, insns, wasmBytes, cells, slots, pages], [0, 0, 0, 0, 0, 0]);
});

test.skipBecause(isLinux, "guest RAM that is touched is no overhead", () => {
  const ramBytes = 96 << 20, memory = newMemory(ramBytes), u8 = new Uint8Array(memory.buffer), what = { buffer: memory.buffer, ramOffset: RAM_OFFSET, ramBytes };
  const before = memoryFigures(what), MIB = 1 << 20;
  assert.is(before.guestRamBytes, 0);
  for (let at = 0; at < 64 * MIB; at += 4096) u8[RAM_OFFSET + at] = 1;
  const after = memoryFigures(what);
  assert.is(after.guestRamBytes, 64 * MIB);
  // The resident set itself moves with the collector's work on what earlier tests left.
  for (const f of [before, after]) assert.is(f.overheadBytes, f.rssBytes - f.guestRamBytes!);
  for (let at = 65536; at < 65536 + 16 * MIB; at += 4096) u8[at] = 1;
  assert.is(memoryFigures(what).tablesBytes! - after.tablesBytes!, 16 * MIB);
});

test.skipBecause(isLinux, "the peak of the overhead is kept", () => {
  const { machine } = spinning("interp").kernel, peak = new OverheadPeak(machineMemory(machine));
  peak.look();
  const first = peak.peakBytes!;
  assert.ok(first > 1 << 20);
  let ballast: Uint8Array | null = new Uint8Array(48 << 20).fill(1);
  peak.look();
  assert.ok(peak.peakBytes! > first + (40 << 20), `${peak.peakBytes} after ${first}`);
  const most = peak.peakBytes;
  ballast = ballast.length > 0 ? null : ballast;
  peak.look();
  assert.ok(peak.peakBytes! >= most!);
});

test.skipBecause(isLinux, "--json tells of memory and of the time that translating took", () => {
  const r = loanword(["boot", "--json", "--tune", "hot=10000", "-c", "seq 1 30000 | wc -l"]);
  const { memory, engine, instructions } = JSON.parse(r.stderr) as { memory: Record<string, number>; engine: Record<string, number>; instructions: number };
  assert.is(r.stdout, "30000\n");
  assert.is(memory["overheadBytes"], memory["rssBytes"]! - memory["guestRamBytes"]!);
  assert.ok(memory["guestRamBytes"]! > 100_000 && memory["overheadBytes"]! > 10e6 && memory["jsHeapBytes"]! > 1e6 && memory["machineCodeBytes"]! > 1e5);
  assert.ok(memory["peakOverheadBytes"]! >= memory["overheadBytes"]!);
  assert.ok(engine["compileMs"]! > 0);
  assert.ok(engine["translatedRetired"]! > 0.5 * instructions && engine["translatedRetired"]! < instructions, r.stderr);
});

test.run();
