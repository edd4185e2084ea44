// Who runs the suite: our machine, QEMU's with Debian's kernel, QEMU's user mode, and the processor itself.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type CpioEntry, packCpio, S_IFREG } from "../cpio.ts";
import { MarkerReader, type Moment, type Timing } from "./markers.ts";

/** Enough for the line of --json. */
const ERRORS_KEPT = 8192;

/** CPU time of a process with all its threads, to the nanosecond; of threads that ended, to a hundredth of a second. */
function cpuMs(pid: number): number {
  let ns = 0;
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ")[0]);
  } catch {
    return NaN;
  }
  return ns / 1e6;
}

/** What a run of the suite left: a timing for each command, the peak of the process' memory, and what it said last. */
export interface SuiteRun { readonly timings: (Timing | undefined)[]; readonly rssMiB: number; readonly tail: string; readonly errors: string }

/** Starts a process that runs the suite on its standard output. => timings by command, the peak of its memory in MiB */
export function runSuite(command: string, args: readonly string[], timeoutMs: number): Promise<SuiteRun> {
  return new Promise((done) => {
    const child: ChildProcess = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] }), pid = child.pid ?? 0;
    const now = (): Moment => ({ wallMs: performance.now(), cpuMs: cpuMs(pid) }), reader = new MarkerReader(now);
    let rssMiB = 0, tail = "", errors = "";
    child.stdout!.on("data", (bytes: Buffer) => {
      const text = bytes.toString("latin1");
      tail = (tail + text).slice(-600);
      reader.push(text);
      if (text.includes("END")) rssMiB = Math.max(rssMiB, residentMiB(pid));
    });
    child.stderr!.on("data", (bytes: Buffer) => {
      tail = (tail + bytes.toString("latin1")).slice(-600);
      errors = (errors + bytes.toString("latin1")).slice(-ERRORS_KEPT);
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.on("close", () => {
      clearTimeout(timer);
      done({ timings: reader.timings, rssMiB, tail, errors });
    });
    child.on("error", (e) => { tail = String(e); });
  });
}

function residentMiB(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

export const hasCommand = (name: string): boolean => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0;

/** A file that some rows need besides the programs of guest/bench; guests see it under /bench. */
export interface BenchFile { readonly name: string; readonly data: Uint8Array }

/** Everything the suite needs, as files of an initial RAM disk: programs, shell, tools, and the list of commands. */
export function suiteFiles(root: string, list: readonly string[], more: readonly BenchFile[] = []): CpioEntry[] {
  const file = (path: string, from: string): CpioEntry => ({ path, mode: S_IFREG | 0o755, data: readFileSync(from) });
  const bench = join(root, "build/guest/bench"), bin = join(root, "build/guest/bin");
  return [
    ...readdirSync(bench).map((f) => file(`bench/${f}`, join(bench, f))), ...["sh", "ls", "wc", "true"].map((f) => file(`bin/${f}`, join(bin, f))),
    ...more.map((f) => ({ path: `bench/${f.name}`, mode: S_IFREG | 0o755, data: f.data })),
    { path: "suite.txt", mode: S_IFREG | 0o644, data: new TextEncoder().encode(`${list.join("\n")}\n`) },
    { path: "dev/.keep", mode: S_IFREG | 0o644, data: new Uint8Array(0) },
  ];
}

/** What npm gives Node in this folder, so that the bench measures it however it was started itself. */
const nodeOptions = (root: string): string[] => /^node-options=(.*)$/m.exec(readFileSync(join(root, ".npmrc"), "utf8"))?.[1]!.split(" ") ?? [];

/** How our machine is started: the engine, and what a variant changes. */
export interface Ours { readonly engine: string; readonly tune?: string; readonly node?: readonly string[] }

function ourProcess(root: string, verb: string, { engine, tune, node }: Ours, more: readonly string[]): { command: string; args: string[] } {
  const tuning = tune === undefined ? [] : ["--tune", tune], loanword = join(root, "tools/bin/loanword.mjs");
  return { command: process.execPath, args: [...node ?? nodeOptions(root), loanword, verb, "--engine", engine, ...tuning, "--mem", "512M", ...more] };
}

/** Our machine in a process of its own. */
export function ourCommand(root: string, folder: string, ours: Ours): { command: string; args: string[] } {
  return ourProcess(root, "boot", ours, ["--json", "--dir", `${folder}:/bench`, "-c", "/bench/suite /bench/suite.txt"]);
}

/** What our machine took of memory beside the guest's RAM, in MiB: the most, and at the end. */
export interface Overhead { readonly peakMiB: number; readonly endMiB: number }

/** From what our machine said on standard error. => null: the host does not tell */
export function overheadOf(errors: string): Overhead | null {
  const line = errors.split("\n").find((l) => l.startsWith("{\"exit\":"));
  if (line === undefined) return null;
  const { memory } = JSON.parse(line) as { memory?: { overheadBytes: number | null; peakOverheadBytes: number | null } }, MIB = 1 << 20;
  if (memory === undefined || memory.overheadBytes === null || memory.peakOverheadBytes === null) return null;
  return { peakMiB: memory.peakOverheadBytes / MIB, endMiB: memory.overheadBytes / MIB };
}

/** Guest instructions of a command in our machine, the boot included: the same number under every engine. */
export function ourInstructions(root: string, folder: string, command: string): number {
  const { command: node, args } = ourProcess(root, "boot", { engine: "jit" }, ["--json", "--clock", "virtual", "--dir", `${folder}:/bench`, "-c", command]);
  const r = spawnSync(node, args, { encoding: "latin1" }), found = /"instructions":(\d+)/.exec(r.stderr);
  if (r.status !== 0 || found === null) throw new Error(`bench: our machine did not finish \`${command}\`; it said last:\n${r.stderr.slice(-600)}`);
  return Number(found[1]);
}

const APPEND = "console=ttyS0 quiet loglevel=0 rdinit=/bench/suite";

/** Our bare machine with the same firmware and kernel as QEMU's. */
export function bareCommand(root: string, kernel: string, initrd: string, ours: Ours): { command: string; args: string[] } {
  return ourProcess(root, "machine", ours, ["--bios", "default", "--kernel", kernel, "--initrd", initrd, "--append", APPEND]);
}

export function qemuSystemCommand(kernel: string, initrd: string): { command: string; args: string[] } {
  return {
    command: "qemu-system-riscv64",
    args: ["-M", "virt", "-m", "512M", "-nographic", "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", APPEND],
  };
}

/** One program by itself: under qemu-riscv64, or native. */
export function timeProgram(command: string, args: readonly string[]): { ms: number; output: string; status: number } {
  const began = performance.now(), r = spawnSync(command, args, { encoding: "latin1" }), wall = performance.now() - began;
  return { ms: wall, output: r.stdout.trim(), status: r.status ?? -1 };
}

/** Compiles the kernels for this processor. => the folder, or null without a compiler */
export function nativePrograms(root: string, names: readonly string[]): string | null {
  const out = join(root, "build/bench/native");
  mkdirSync(out, { recursive: true });
  for (const name of names) {
    // The same contraction of a * b + c as the guest's compiler does, so that the results are the same bits.
    const fma = process.arch === "x64" ? ["-mfma"] : [];
    const r = spawnSync("gcc", ["-O2", ...fma, "-ffp-contract=fast", "-w", "-o", join(out, name), join(root, "guest/bench", `${name}.c`), "-lm"], { stdio: "ignore" });
    if (r.status !== 0) return null;
  }
  return out;
}

/** The folder that our guest sees as /bench, for a list of commands. */
export function writeFolder(root: string, folder: string, list: readonly string[], more: readonly BenchFile[] = []): void {
  mkdirSync(folder, { recursive: true });
  const bench = join(root, "build/guest/bench");
  for (const f of readdirSync(bench)) writeFileSync(join(folder, f), readFileSync(join(bench, f)), { mode: 0o755 });
  for (const f of more) writeFileSync(join(folder, f.name), f.data, { mode: 0o755 });
  writeFileSync(join(folder, "suite.txt"), `${list.join("\n")}\n`);
}

export function writeInitrd(root: string, path: string, list: readonly string[], more: readonly BenchFile[] = []): void {
  writeFileSync(path, packCpio(suiteFiles(root, list, more)));
}
