// npm run bench: our machine against its rivals, in one run, as ratios.
//
//   CPU kernels       wall time of each program; the same RISC-V binaries in qemu-system-riscv64 with Debian's kernel and in
//                     qemu-riscv64; the same C compiled for this processor; and by our interpreter alone
//   OS operations     time for each operation: the difference of a long and a short run
//
// The rounds alternate between the rivals, so that a noisy moment hits all. The result is the median of the rounds.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debianKernel } from "./debian.ts";
import { parseToolArgs } from "./host/toolargs.ts";
import type { Timing } from "./bench/markers.ts";
import { BOOTS, CPU_PROGRAMS, OPERATIONS } from "./bench/programs.ts";
import { UNTUNED, untuned } from "./bench/untuned.ts";
import { VARIANTS } from "./bench/variants.ts";
import { geometricMean, hugePagesLine, median, overheadLine, ratios, type Row, table } from "./bench/report.ts";
import { bareCommand, hasCommand, nativePrograms, ourCommand, ourInstructions, type Overhead, overheadOf, qemuSystemCommand, runSuite, timeProgram, writeFolder, writeInitrd } from "./bench/rivals.ts";

const HELP = `npm run bench -- [options] [names]

  --only PART       cpu or os; or one of the three that are not run else:
                    boot      OpenSBI and Debian's kernel to an initial RAM disk of our programs, and off again
                    untuned   Debian's busybox on 16 MiB of text: programs that nobody here tuned for
                    variants  the CPU kernels and the boots with other settings of the translator, ours alone
  --engine E        ours: interp or jit (default jit)
  --runs N          rounds (default 3)
  --quick           one round
  --time wall|cpu   what operations of the system are measured in (default wall); cpu: of all threads, for a host that is busy
  --suite S         Debian's suite of the rival's kernel (default trixie)
  --no-qemu         ours alone
  --json FILE       results (default build/bench/results.json)
`;
const PARTS: readonly string[] = ["cpu", "os", "boot", "untuned", "variants"];
const TIMEOUT_MS = 600_000, ENGINES = ["interp", "jit"];

interface Settings { readonly root: string; readonly runs: number; readonly engine: string; readonly kernel: string | null; readonly qemu: boolean; readonly time: "wallMs" | "cpuMs" }

/** Samples by row and column. */
class Samples {
  readonly rows = new Map<string, Map<string, number[]>>();

  add(row: string, column: string, value: number): void {
    const columns = this.rows.get(row) ?? new Map<string, number[]>();
    this.rows.set(row, columns);
    columns.set(column, [...(columns.get(column) ?? []), value]);
  }

  result(): Row[] {
    return [...this.rows].map(([name, columns]) => ({ name, values: Object.fromEntries([...columns].map(([c, v]) => [c, median(v)])) }));
  }
}

/** Runs a list of commands in one machine. => a timing for each; throws when one failed */
async function timed(what: string, { command, args }: { command: string; args: string[] }, list: readonly string[]): Promise<{ timings: Timing[]; rssMiB: number; overhead: Overhead | null }> {
  const { timings, rssMiB, tail, errors } = await runSuite(command, args, TIMEOUT_MS);
  list.forEach((line, i) => {
    if (timings[i] === undefined || timings[i].status !== 0) throw new Error(`bench: ${what} did not finish \`${line}\`; it said last:\n${tail}`);
  });
  return { timings: timings as Timing[], rssMiB, overhead: overheadOf(errors) };
}

/** The column of our machine without the translator. */
const INTERPRETER = "our interp";

async function cpuPart(s: Settings, names: readonly string[]): Promise<{ rows: Row[]; overheads: Overhead[] }> {
  const overheads: Overhead[] = [];
  const list = names.map((n) => `/bench/${n} ${CPU_PROGRAMS[n]}`), samples = new Samples(), sums = new Map<string, string>();
  const folder = join(s.root, "build/bench/cpu"), initrd = join(s.root, "build/bench/cpu.cpio");
  writeFolder(s.root, folder, list);
  writeInitrd(s.root, initrd, list);
  const native = s.qemu ? nativePrograms(s.root, names) : null;
  const note = (column: string, i: number, ms: number, output: string): void => {
    const name = names[i]!, before = sums.get(name);
    if (before !== undefined && before !== output) throw new Error(`bench: ${name} printed "${output}" in ${column}, but "${before}" elsewhere`);
    sums.set(name, output);
    samples.add(name, column, ms);
  };
  for (let round = 0; round < s.runs; round++) {
    const ours = await timed("our machine", ourCommand(s.root, folder, s), list);
    ours.timings.forEach((t, i) => note("ours", i, t.wallMs, t.output));
    if (ours.overhead !== null) overheads.push(ours.overhead);
    process.stderr.write(`round ${round + 1}: our machine done, ${ours.rssMiB.toFixed(0)} MiB at most\n`);
    if (s.engine === "jit") (await timed("our interpreter", ourCommand(s.root, folder, { engine: "interp" }), list)).timings.forEach((t, i) => note(INTERPRETER, i, t.wallMs, t.output));
    if (s.kernel !== null) (await timed("qemu-system", qemuSystemCommand(s.kernel, initrd), list)).timings.forEach((t, i) => note("qemu-system", i, t.wallMs, t.output));
    names.forEach((name, i) => {
      const scale = String(CPU_PROGRAMS[name]);
      if (s.qemu && hasCommand("qemu-riscv64")) {
        const r = timeProgram("qemu-riscv64", [join(s.root, "build/guest/bench", name), scale]);
        note("qemu-user", i, r.ms, r.output);
      }
      if (native !== null) {
        const r = timeProgram(join(native, name), [scale]);
        note("native", i, r.ms, r.output);
      }
    });
  }
  const boot = ourInstructions(s.root, folder, "/bin/true"), counts = list.map((line) => ourInstructions(s.root, folder, line) - boot);
  return { rows: samples.result().map((row, i) => ({ ...row, mips: counts[i]! / row.values.ours! / 1000 })), overheads };
}

const initrdOf = (s: Settings, name: string): string => join(s.root, `build/bench/${name}.cpio`);

/** => milliseconds from power-on to power-off, the process' start and end included */
async function bootMs(what: string, command: { command: string; args: string[] }, list: readonly string[]): Promise<number> {
  const began = performance.now();
  await timed(what, command, list);
  return performance.now() - began;
}

/** Debian's kernel under OpenSBI, here and in qemu-system. */
async function bootPart(s: Settings, names: readonly string[]): Promise<Row[]> {
  const { kernel } = s, samples = new Samples();
  if (kernel === null) throw new Error("bench: there is no kernel to boot; see the line above");
  // The first round is not measured: it brings files into the host's memory.
  for (let round = -1; round < s.runs; round++) {
    for (const name of names) {
      const list = BOOTS[name]!, initrd = initrdOf(s, name);
      if (round < 0) writeInitrd(s.root, initrd, list);
      for (const [column, command] of [["ours", bareCommand(s.root, kernel, initrd, s)], ["qemu-system", qemuSystemCommand(kernel, initrd)]] as const) {
        const ms = await bootMs(column, command, list);
        if (round >= 0) samples.add(name, column, ms);
      }
    }
  }
  return samples.result();
}

/** Debian's own programs, here and in qemu-system. */
async function untunedPart(s: Settings, names: readonly string[], suite: string): Promise<Row[]> {
  const needs = untuned(s.root, suite);
  if ("reason" in needs) throw new Error(`bench: the untuned programs are not to be had: ${needs.reason}`);
  const list = names.map(needs.line), samples = new Samples(), sums = new Map<string, string>();
  const folder = join(s.root, "build/bench/untuned"), initrd = join(s.root, "build/bench/untuned.cpio");
  writeFolder(s.root, folder, list, needs.files);
  writeInitrd(s.root, initrd, list, needs.files);
  const note = (column: string, timings: readonly Timing[]): void => timings.forEach((t, i) => {
    const name = names[i]!, before = sums.get(name);
    if (before !== undefined && before !== t.output) throw new Error(`bench: ${name} printed "${t.output}" in ${column}, but "${before}" elsewhere`);
    sums.set(name, t.output);
    samples.add(name, column, t[s.time]);
  });
  for (let round = 0; round < s.runs; round++) {
    note("ours", (await timed("our machine", ourCommand(s.root, folder, s), list)).timings);
    if (s.kernel !== null) note("qemu-system", (await timed("qemu-system", qemuSystemCommand(s.kernel, initrd), list)).timings);
  }
  return samples.result();
}

/** The CPU kernels in one machine, then the boots, by the translator as it is and with one setting changed. */
async function variantsPart(s: Settings, names: readonly string[]): Promise<Row[]> {
  const kernels = names.filter((n) => n in CPU_PROGRAMS), boots = names.filter((n) => n in BOOTS);
  const list = kernels.map((n) => `/bench/${n} ${CPU_PROGRAMS[n]}`), samples = new Samples(), folder = join(s.root, "build/bench/cpu");
  writeFolder(s.root, folder, list);
  for (const name of boots) writeInitrd(s.root, initrdOf(s, name), BOOTS[name]!);
  for (let round = 0; round < s.runs; round++) {
    for (const v of [{ name: "ours" }, ...VARIANTS]) {
      const ours = { engine: "jit", ...v };
      if (kernels.length > 0) (await timed(v.name, ourCommand(s.root, folder, ours), list)).timings.forEach((t, i) => samples.add(kernels[i]!, v.name, t[s.time]));
      for (const name of s.kernel === null ? [] : boots) samples.add(name, v.name, await bootMs(v.name, bareCommand(s.root, s.kernel!, initrdOf(s, name), ours), BOOTS[name]!));
    }
  }
  return samples.result();
}

async function osPart(s: Settings, names: readonly string[]): Promise<Row[]> {
  const ops = OPERATIONS.filter((o) => names.includes(o.name)), samples = new Samples();
  const short = (n: number): number => Math.max(1, Math.floor(n / 10));
  // The first of three is not measured: a short run that also warms up would make the difference too small.
  const commands = (count: (o: (typeof ops)[number]) => number): string[] =>
    ops.flatMap((o) => [short(count(o)), short(count(o)), count(o)].map((n) => `/bench/os ${o.name} ${n}`));
  const oursList = commands((o) => o.ours), rivalList = commands((o) => o.rival);
  const folder = join(s.root, "build/bench/os"), initrd = join(s.root, "build/bench/os.cpio");
  writeFolder(s.root, folder, oursList);
  writeInitrd(s.root, initrd, rivalList);
  const note = (column: string, timings: readonly Timing[], count: (o: (typeof ops)[number]) => number): void => ops.forEach((o, i) => {
    const few = timings[3 * i + 1]!, many = timings[3 * i + 2]!, n = count(o) - short(count(o));
    for (const t of [few, many]) if (!t.output.endsWith("right")) throw new Error(`bench: ${o.name} in ${column} printed "${t.output}"`);
    const ns = ((many[s.time] - few[s.time]) * 1e6) / n;
    if (ns > 0) samples.add(o.name, column, ns);
    else process.stderr.write(`bench: ${o.name} in ${column}: the long run was no longer than the short one; the round is left out\n`);
  });
  for (let round = 0; round < s.runs; round++) {
    note("ours", (await timed("our machine", ourCommand(s.root, folder, s), oursList)).timings, (o) => o.ours);
    if (s.kernel !== null) note("qemu-system", (await timed("qemu-system", qemuSystemCommand(s.kernel, initrd), rivalList)).timings, (o) => o.rival);
  }
  return samples.result();
}

/** What Node reads at each start when this is set: for TLS, which nothing here uses, and some 50 ms long. */
const CERTIFICATES = "NODE_EXTRA_CA_CERTS";

/** => null where the host is no Linux */
function hugePages(): string | null {
  try {
    return readFileSync("/sys/kernel/mm/transparent_hugepage/enabled", "latin1");
  } catch {
    return null;
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseToolArgs("bench", {
    allowPositionals: true,
    options: {
      only: { type: "string" }, engine: { type: "string", default: "jit" }, runs: { type: "string" }, quick: { type: "boolean" },
      time: { type: "string", default: "wall" }, suite: { type: "string", default: "trixie" }, "no-qemu": { type: "boolean" }, json: { type: "string" }, help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const root = process.cwd(), known = [...Object.keys(CPU_PROGRAMS), ...OPERATIONS.map((o) => o.name), ...Object.keys(BOOTS), ...UNTUNED], runs = Number(values.runs ?? (values.quick ? 1 : 3));
  const wrong = positionals.find((n) => !known.includes(n));
  if (wrong !== undefined) throw new Error(`bench: there is no ${wrong}; there are ${known.join(", ")}`);
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`bench: --runs ${values.runs}: give a number from 1`);
  if (values.only !== undefined && !PARTS.includes(values.only)) throw new Error(`bench: --only ${values.only}: give ${PARTS.join(", ")}`);
  if (values.time !== "wall" && values.time !== "cpu") throw new Error(`bench: --time ${values.time}: give wall or cpu`);
  if (values.engine === "check") {
    throw new Error("bench: --engine check compares each entry of translated code with the interpreter, hundreds of times slower than either: the bench would take hours and its times " +
      "would mean nothing. Use it where right or wrong is the question: npm test -- --engine check, or loanword run --engine check PROG");
  }
  if (!ENGINES.includes(values.engine)) throw new Error(`bench: --engine ${values.engine}: give ${ENGINES.join(" or ")}`);
  mkdirSync(join(root, "build/bench"), { recursive: true });
  if (process.env[CERTIFICATES] !== undefined) process.stderr.write(`bench: ours runs without ${CERTIFICATES}, whose certificates Node reads at each start\n`);
  delete process.env[CERTIFICATES];
  const qemu = !values["no-qemu"], none = { reason: qemu ? "qemu-system-riscv64 is not installed (Debian: qemu-system-misc)" : "not asked for" };
  const kernel = qemu && hasCommand("qemu-system-riscv64") ? debianKernel(root, values.suite) : none;
  if ("path" in kernel) process.stderr.write(hugePagesLine(hugePages()));
  if ("reason" in kernel) process.stderr.write(`bench: no column for qemu-system: ${kernel.reason}\n`);
  if (qemu && !hasCommand("qemu-riscv64")) process.stderr.write("bench: no column for qemu-user: qemu-riscv64 is not installed (Debian: qemu-user)\n");
  if (qemu && !hasCommand("gcc")) process.stderr.write("bench: no column for native: gcc is not installed (Debian: gcc)\n");
  const settings: Settings = { root, runs, engine: values.engine, kernel: "path" in kernel ? kernel.path : null, qemu, time: values.time === "cpu" ? "cpuMs" : "wallMs" };
  const chosen = (all: readonly string[]): string[] => (positionals.length === 0 ? [...all] : all.filter((n) => positionals.includes(n)));
  const isIn = (part: string): boolean => values.only === undefined || values.only === part;
  if (values.only === "boot") {
    const rows = await bootPart(settings, chosen(Object.keys(BOOTS)));
    return void process.stdout.write(`Debian's Linux (${values.engine}), power-on to power-off, median of ${runs}\n${table(rows, "ours", ["ours", "qemu-system"], "ms")}\n`);
  }
  if (values.only === "untuned") {
    const rows = await untunedPart(settings, chosen(UNTUNED), values.suite);
    return void process.stdout.write(`untuned programs (${values.engine}, ${values.time} time), median of ${runs}\n${table(rows, "ours", ["ours", "qemu-system"], "ms")}\n`);
  }
  if (values.only === "variants") {
    const rows = await variantsPart(settings, chosen([...Object.keys(CPU_PROGRAMS), ...Object.keys(BOOTS)]));
    return void process.stdout.write(`the translator against variants (${values.time} time), median of ${runs}\n${table(rows, "ours", ["ours", ...VARIANTS.map((v) => v.name)], "ms")}\n`);
  }
  const cpu = isIn("cpu") ? chosen(Object.keys(CPU_PROGRAMS)) : [], os = isIn("os") ? chosen(OPERATIONS.map((o) => o.name)) : [];
  const { rows: cpuRows, overheads } = cpu.length > 0 ? await cpuPart(settings, cpu) : { rows: [], overheads: [] }, osRows = os.length > 0 ? await osPart(settings, os) : [];
  const cpuTable = (): string => `${table(cpuRows, "ours", ["ours", "qemu-system", "qemu-user", "native", ...values.engine === "jit" ? [INTERPRETER] : []], "ms")}\n${overheadLine(overheads)}`;
  if (cpuRows.length > 0) process.stdout.write(`CPU kernels (${values.engine}), median of ${runs}\n${cpuTable()}\n\n`);
  if (osRows.length > 0) process.stdout.write(`OS operations (${values.engine}, ${values.time} time), median of ${runs}\n${table(osRows, "ours", ["ours", "qemu-system"], "ns")}\n\n`);
  const against = ratios(cpuRows, "ours", "qemu-system").filter((v) => v !== undefined);
  const results = { engine: values.engine, runs, time: values.time, cpu: cpuRows, overheads, os: osRows, geometricMean: against.length > 0 ? geometricMean(against) : null };
  writeFileSync(values.json ?? join(root, "build/bench/results.json"), `${JSON.stringify(results, null, 1)}\n`);
}

try {
  await main();
} catch (e) {
  process.stderr.write(`${(e as Error).message}\n`);
  process.exitCode = 1;
}
