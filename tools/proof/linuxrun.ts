// One boot of the Linux proof, under our machine or QEMU's: the same command line, a copy of the disk, and what came of it.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkExt2 } from "../ext2check.ts";
import { walkImage } from "./linuxdisk.ts";

const LIMIT_MS = 900_000, TAIL_LINES = 15, DIFFERENCES_SHOWN = 5, DAMAGE_SHOWN = 5;
/** The second disk. */
const OTHER_BYTES = 300 << 10;
/** A check of the guest's that failed. */
const FAILED = /: no \(.*\)$/;
export const QEMU = "qemu-system-riscv64";

export interface Boot {
  readonly name: string;
  readonly virtio: "modern" | "legacy";
  /** Our machine's, or "" for QEMU. */
  readonly engine: "jit" | "interp" | "";
  /** Our machine's options. */
  readonly options: readonly string[];
  /** The boot that this one must be the same as to the instruction, on the console and on the disk. */
  readonly twin?: string;
}

const VIRTUAL = ["--clock", "virtual"];

/** Everything that is booted; ours are compared with QEMU's of the same transport. */
export const BOOTS: readonly Boot[] = [
  { name: "qemu modern", virtio: "modern", engine: "", options: [] },
  { name: "qemu legacy", virtio: "legacy", engine: "", options: [] },
  { name: "jit modern", virtio: "modern", engine: "jit", options: VIRTUAL },
  { name: "interp modern", virtio: "modern", engine: "interp", options: VIRTUAL, twin: "jit modern" },
  { name: "jit legacy", virtio: "legacy", engine: "jit", options: VIRTUAL },
  { name: "interp legacy", virtio: "legacy", engine: "interp", options: VIRTUAL, twin: "jit legacy" },
  { name: "jit host clock", virtio: "modern", engine: "jit", options: ["--clock", "host"] },
  { name: "jit svade", virtio: "modern", engine: "jit", options: [...VIRTUAL, "--ad", "svade"] },
  { name: "jit hostile TLB", virtio: "modern", engine: "jit", options: [...VIRTUAL, "--tlb", "hostile"], twin: "jit modern" },
];

/** What a boot left. */
export interface Booted {
  readonly boot: Boot;
  /** From START to END, without notes; null when it did not come to the end. */
  readonly lines: readonly string[] | null;
  /** Everything on the console. */
  readonly console: string;
  readonly wallMs: number;
  /** Retired instructions, where our machine tells. */
  readonly instructions: number | null;
  readonly image: Uint8Array;
  /** What is wrong with it by itself. */
  readonly problems: readonly string[];
}

/** Virtio devices and where they are: without a bus the board chooses. Linux finds what is on the last bus first. */
const DEVICES: Readonly<Record<Boot["virtio"], readonly string[]>> = {
  modern: ["virtio-blk-device,drive=disk", "virtio-rng-device", "virtio-blk-device,drive=other"],
  legacy: ["virtio-blk-device,drive=other,bus=virtio-mmio-bus.1", "virtio-rng-device", "virtio-blk-device,drive=disk,bus=virtio-mmio-bus.4"],
};

/** QEMU's command line; our machine takes it as it is. Paths have no commas in them. */
function boardArgs(boot: Boot, kernel: string, initrd: string, image: string, other: string): string[] {
  return [
    "-M", "virt", "-m", "256M", "-nographic", "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 quiet loglevel=0 rdinit=/init",
    "-drive", `file=${image},if=none,format=raw,id=disk`, "-drive", `file=${other},if=none,format=raw,id=other`, ...DEVICES[boot.virtio].flatMap((device) => ["-device", device]),
    ...(boot.virtio === "modern" ? ["-global", "virtio-mmio.force-legacy=false"] : []),
  ];
}

/** Boots, waits for the end and looks at the disk. `folder`: relative to the current one, for copies of the disk and logs */
export function run(boot: Boot, folder: string, kernel: string, initrd: string, disk: Uint8Array): Booted {
  const file = join(folder, boot.name.replaceAll(" ", "-")), image = `${file}.img`, other = `${file}-other.img`, args = boardArgs(boot, kernel, initrd, image, other), began = performance.now();
  writeFileSync(image, disk);
  writeFileSync(other, Uint8Array.from({ length: OTHER_BYTES }, (_, i) => (i * 7 + (i >> 9)) & 0xff));
  const ours = ["build/tools/cli.main.mjs", "machine", ...args, "--engine", boot.engine, ...boot.options, "--json"], isOurs = boot.engine !== "";
  const r = spawnSync(isOurs ? process.execPath : QEMU, isOurs ? ours : args, { encoding: "latin1", maxBuffer: 1 << 26, timeout: LIMIT_MS, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "pipe"] });
  const wallMs = performance.now() - began, console = (r.stdout ?? "").replaceAll("\r\n", "\n"), errors = r.stderr ?? "", instructions = /"instructions":(\d+)/.exec(errors);
  writeFileSync(`${file}.log`, console + errors, "latin1");
  const lines = linesOf(console), after = Uint8Array.from(readFileSync(image)), problems: string[] = [];
  if (lines === null || r.status !== 0) {
    const said = `${console}${errors}`.trim().split("\n").slice(-TAIL_LINES).map((l) => `    ${l}`).join("\n");
    problems.push(`it did not come to its end (${r.signal ?? r.error?.message ?? `exit status ${r.status}`}); it said last:\n${said}`);
  }
  if (lines !== null) problems.push(...lines.filter((l) => FAILED.test(l)), ...lookAtDisk(lines, disk, after, image));
  return { boot, lines, console, wallMs, instructions: instructions === null ? null : Number(instructions[1]), image: after, problems };
}

/** => null: the guest did not come to its end */
export function linesOf(console: string): string[] | null {
  const all = console.split("\n"), from = all.indexOf("START"), to = all.indexOf("END");
  return from < 0 || to < from ? null : all.slice(from, to + 1).filter((l) => !l.startsWith("# "));
}

/** The lines of one walk. */
function walkOf(lines: readonly string[], label: string): string[] {
  const from = lines.indexOf(`WALK ${label}`);
  return from < 0 ? [] : lines.slice(from + 1, lines.indexOf("WALKED", from));
}

/** The image is sound, and holds what the guest says. */
function lookAtDisk(lines: readonly string[], before: Uint8Array, after: Uint8Array, path: string): string[] {
  const damage = checkExt2(after), found = damage.slice(0, DAMAGE_SHOWN).map(({ where, what }) => `disk check: ${where}: ${what}`);
  if (damage.length > DAMAGE_SHOWN) found.push(`disk check: and ${damage.length - DAMAGE_SHOWN} more`);
  const r = spawnSync("e2fsck", ["-fn", path], { encoding: "latin1" });
  if (r.error === undefined && (r.status !== 0 || /\? no$/m.test(r.stdout))) found.push(`e2fsck (status ${r.status}): ${r.stdout.trim().split("\n").slice(1).join("; ")}`);
  if (found.length > 0) return found;
  return [
    ...differences(walkImage(before), walkOf(lines, "as it came"), "image before", "guest").map((d) => `the disk as it came: ${d}`),
    ...differences(walkImage(after), walkOf(lines, "as it is now"), "image after", "guest").map((d) => `the disk as it is now: ${d}`),
  ];
}

/** => the first lines that differ, told for whoever has to look for the cause; empty when all are the same */
export function differences(a: readonly string[], b: readonly string[], nameA: string, nameB: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < Math.max(a.length, b.length) && out.length < DIFFERENCES_SHOWN; i++) {
    if (a[i] !== b[i]) out.push(`line ${i + 1}\n    ${nameA}: ${a[i] ?? "(no more)"}\n    ${nameB}: ${b[i] ?? "(no more)"}`);
  }
  return out;
}
