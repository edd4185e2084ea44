// The two machines that run a program: QEMU, whose RAM is a file, and ours.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Machine, type MachineConfig, type TlbMode } from "../../emu/machine.ts";
import { BASE, RAM_BYTES } from "./layout.ts";
import type { Program } from "./program.ts";

const QEMU = "qemu-system-riscv64";
/** What this QEMU has and the machine has not is switched off. */
const CPU = "rv64,zbc=false,h=false,v=false";
const QEMU_SECONDS = 60;

/** => why QEMU cannot be used, or "" */
export function qemuMissing(): string {
  const { stdout } = spawnSync(QEMU, ["--version"], { encoding: "utf8" });
  return stdout ? "" : `${QEMU} is not installed`;
}

/** Runs a program in QEMU. => RAM afterwards */
export function runInQemu(p: Program): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "loanword-diff-")), ram = join(folder, "ram");
  try {
    writeFileSync(ram, p.image);
    truncateSync(ram, RAM_BYTES);
    const backend = `memory-backend-file,id=ram,size=${RAM_BYTES},mem-path=${ram},share=on`;
    const args = ["-M", "virt,memory-backend=ram", "-cpu", CPU, "-m", `${RAM_BYTES >> 20}M`, "-object", backend, "-bios", "none", "-display", "none", "-serial", "none", "-monitor", "none"];
    const { status, signal, stderr } = spawnSync(QEMU, args, { encoding: "utf8", timeout: QEMU_SECONDS * 1000, killSignal: "SIGKILL" });
    if (status !== 0) throw new Error(`seed ${p.seed}: QEMU ended with ${signal ?? status}: ${stderr}`);
    return readFileSync(ram);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** regions: how many were translated. */
export interface OurRun { readonly ram: Uint8Array; readonly retired: number; readonly regions: number }

/** Runs a program in our machine, `slice` instructions at a time if not 0. => RAM afterwards; `more`: engine, tuning */
export function runHere(p: Program, tlb: TlbMode = "normal", slice = 0, more: Partial<MachineConfig> = {}): OurRun {
  const machine = new Machine({ ramBytes: RAM_BYTES, console: { read: () => -1, write: () => {} }, tlb, kernel: { name: `seed ${p.seed}`, bytes: p.image }, ...more });
  const limit = p.insns * 2000 + 1_000_000;
  let end = machine.run(slice || limit);
  for (let n = slice; end === "budget" && n < limit && slice > 0; n += slice) end = machine.run(slice);
  if (end !== "halted") throw new Error(`seed ${p.seed}: our machine did not finish (${end}) at pc 0x${machine.hart.pc.toString(16)}`);
  if (machine.ram.base !== BASE) throw new Error("RAM has moved");
  return { ram: machine.ram.u8, retired: machine.hart.instret, regions: machine.hart.engine?.stats.regions ?? 0 };
}
