// The bench's arithmetic and its reader of markers; the measuring itself needs minutes and is no test.
import { spawnSync } from "node:child_process";
import { MarkerReader } from "../../tools/bench/markers.ts";
import { geometricMean, hugePagesLine, median, overheadLine, ratios, type Row, table } from "../../tools/bench/report.ts";
import { overheadOf } from "../../tools/bench/rivals.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("bench");
const rows: Row[] = [
  { name: "fast", values: { ours: 100, rival: 800 } }, { name: "slow", values: { ours: 200, rival: 400 } }, { name: "alone", values: { ours: 300 } },
];

/** A reader whose clock is set by hand. */
function reader(): { read: MarkerReader; at(ms: number): void } {
  let ms = 0;
  return { read: new MarkerReader(() => ({ wallMs: ms, cpuMs: ms / 2 })), at: (to) => { ms = to; } };
}

test("the median of an even number of values lies between the middle two", () => {
  assert.is(median([9, 1, 5]), 5);
  assert.is(median([4, 1, 2, 100]), 3);
  assert.ok(Number.isNaN(median([])));
});

test("the geometric mean of a ratio and its inverse is one", () => {
  assert.ok(Math.abs(geometricMean([4, 0.25]) - 1) < 1e-12);
});

test("a ratio says how many times as fast ours is, and is missing where a column is", () => {
  assert.equal(ratios(rows, "ours", "rival"), [8, 2, undefined]);
});

test("the table ends with the mean and the least of the ratios that are known", () => {
  const lines = table(rows, "ours", ["ours", "rival"], "ms").split("\n").map((l) => l.trim().split(/\s{2,}/));
  assert.equal(lines[0], ["ours ms", "rival ms", "x rival"]);
  assert.equal(lines[3], ["alone", "300", "-", "-"]);
  assert.equal(lines.slice(4), [["geometric mean", "4.00"], ["least", "2.00"]]);
});

test("the table has a column of MIPS when a row has them", () => {
  const lines = table([{ name: "fib", values: { ours: 10 }, mips: 321.4 }], "ours", ["ours"], "ms").split("\n");
  assert.match(lines[0]!, /MIPS\s+ours ms$/);
  assert.match(lines[1]!, /^fib\s+321\s+10\.0$/);
});

test("a table without any rival says so with dashes", () => {
  assert.match(table(rows, "ours", ["ours", "none"], "ms"), /least\s+-$/);
});

test("a command's time is that between its markers, also when lines arrive in pieces", () => {
  const { read, at } = reader();
  at(10);
  read.push("booting\nBEGIN 0\r\nfib che");
  at(40);
  read.push("cksum=12\r\nEND 0");
  at(50);
  read.push(" 0\r\n");
  assert.equal(read.timings, [{ wallMs: 40, cpuMs: 20, status: 0, output: "fib checksum=12" }]);
});

test("the status of a command that failed is kept, and one without an end has no time", () => {
  const { read } = reader();
  read.push("BEGIN 0\nEND 0 139\nBEGIN 1\nSegmentation fault\n");
  assert.is(read.timings[0]?.status, 139);
  assert.is(read.timings[1], undefined);
});

test("an end of another command than the one that runs counts as its output", () => {
  const { read } = reader();
  read.push("BEGIN 3\nEND 2 0\nEND 3 0\n");
  assert.is(read.timings[2], undefined);
  assert.is(read.timings[3]?.output, "END 2 0");
});

test("the emulator's own memory is read from what our machine says, and the most of all runs is shown", () => {
  const said = (overheadBytes: number | null, peakOverheadBytes: number | null): string =>
    `bench: something else\n${JSON.stringify({ exit: 0, how: "halted", memory: { rssBytes: 1, overheadBytes, peakOverheadBytes } })}\n`;
  assert.equal(overheadOf(said(120 << 20, 140 << 20)), { peakMiB: 140, endMiB: 120 });
  assert.is(overheadOf(said(null, null)), null);
  assert.is(overheadOf("panic: no line of figures\n"), null);
  assert.match(overheadLine([{ peakMiB: 140, endMiB: 120 }, { peakMiB: 139, endMiB: 131 }]), /beyond guest RAM: 140 MiB at its peak, 131 MiB at the end$/);
  assert.match(overheadLine([]), /not known/);
});

test("where only who asks has huge pages, it is said that QEMU asks and Node cannot", () => {
  assert.match(hugePagesLine("always [madvise] never\n"), /QEMU does, Node cannot.*echo always/);
  for (const other of ["[always] madvise never\n", "always madvise [never]\n", null]) assert.is(hugePagesLine(other), "");
});

test("--engine check is refused with the reason, and with what to do instead", () => {
  const r = spawnSync(process.execPath, ["build/tools/bench.main.mjs", "--engine", "check", "fib"], { encoding: "latin1" });
  assert.is(r.status, 1);
  assert.match(r.stderr, /^bench: --engine check compares .* times would mean nothing.* npm test -- --engine check/);
});

test.run();
