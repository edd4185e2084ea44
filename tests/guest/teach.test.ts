// A kernel as courses have them (guest/bare/teach), in its older and its newer manner: the same text here and in QEMU.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryBackend } from "../../emu/dev/backend.ts";
import { type EngineMode, Machine, type MachineConfig } from "../../emu/machine.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("teaching kernels");
const runs = (command: string): boolean => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
const cross = ["riscv-none-elf-", "riscv64-unknown-elf-"].find((prefix) => runs(`${prefix}gcc`));
const noCompiler = cross === undefined ? "no RISC-V compiler is installed" : "";
const noQemu = noCompiler || (runs("qemu-system-riscv64") ? "" : "qemu-system-riscv64 is not installed");
const LINE = "hello, machine\n", DISK_BYTES = 65536;

const EXPECTED = `
teaching kernel boots
${["0: cause 5", "1000: cause 0", "100000: cause 0", "101000: cause 0", "2000000: cause 0", "200bff8: cause 0", "c000000: cause 0", "10000000: cause 0",
    "10001000: cause 0", "10008000: cause 0", "10009000: cause 5", "f00000000: cause 5"].map((s) => `  load of ${s}\n`).join("")}type: HELLO, MACHINE
${["8 value 43008", "8 value 1", "8 value 1", "8 value 2262", "8 value 25", "8 value 19900", "13 value 2147483648", "15 value 0", "2 value 268443763",
    "2 value 503815", "12 value 274877902848", "8 value 14"].map((s, i) => `process ${i}: cause ${s}\n`).join("")}ticks came
interrupts of the disk 1 of the uart 1 spurious 0
pages on demand 11 copied on write 6
`;

const dir = mkdtempSync(join(tmpdir(), "loanword-teach-"));
process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
const disk = () => Uint8Array.from({ length: DISK_BYTES }, (_, i) => i * 7 + (i >> 10) * 13);

const FLAGS = ["-march=rv64gc", "-mabi=lp64d", "-mcmodel=medany", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-ffreestanding", "-fno-common", "-fno-jump-tables",
  "-mno-relax", "-nostdlib", "-static", "-Wl,--no-relax,--build-id=none,-z,max-page-size=4096", "-T", "teach.ld", "entry.S", "kernel.c", "user.c"];

/** Compiles one flavour. => the path of the kernel */
function build(flavour: "OLD" | "NEW"): string {
  const path = join(dir, flavour);
  const r = spawnSync(`${cross}gcc`, [`-D${flavour}`, ...FLAGS, "-o", path], { cwd: "guest/bare/teach", encoding: "utf8" });
  assert.is(r.status, 0, r.stderr);
  return path;
}

const built = new Map<string, string>();
function kernel(flavour: "OLD" | "NEW"): string {
  if (!built.has(flavour)) built.set(flavour, build(flavour));
  return built.get(flavour)!;
}

function here(flavour: "OLD" | "NEW", config: Partial<MachineConfig>): { output: string; code: number | undefined; insns: number } {
  let output = "", at = 0;
  const machine = new Machine({
    ramBytes: 16 << 20, drives: [new MemoryBackend(disk())], virtio: flavour === "OLD" ? "legacy" : "modern",
    kernel: { name: flavour, bytes: new Uint8Array(readFileSync(kernel(flavour))) }, ...config,
    console: {
      read(into) {
        const n = Math.min(into.length, LINE.length - at);
        for (let i = 0; i < n; i++) into[i] = LINE.charCodeAt(at++);
        return n;
      },
      write: (bytes) => void (output += String.fromCharCode(...bytes)),
    },
  });
  machine.run(1e8);
  return { output, code: machine.halted?.code, insns: machine.hart.instret };
}

/** Runs a command and types the line when it is asked for: however slow the host is, not before. => what it printed */
function typedInto(command: string, args: readonly string[]): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], timeout: 60_000 });
    let output = "", isTyped = false;
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString("latin1");
      if (isTyped || !output.endsWith("type: ")) return;
      isTyped = true;
      child.stdin.write(`${LINE.trim()}\n`);
    });
    child.on("error", fail);
    child.on("close", () => done(output));
  });
}

for (const flavour of ["OLD", "NEW"] as const) {
  const what = flavour === "OLD" ? "CLINT timer, legacy virtio without acknowledgement" : "Sstc, virtio version 2";
  test.skipBecause(noQemu, `${what}: QEMU prints what we expect`, async () => {
    const image = join(dir, "disk.img");
    writeFileSync(image, disk());
    const board = `-M virt -bios none -m 16M -nographic -drive file=${image},if=none,format=raw,id=x0,snapshot=on -device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0`;
    const args = `${board} -global virtio-mmio.force-legacy=${flavour === "OLD"} -kernel ${kernel(flavour)}`;
    assert.is(await typedInto("qemu-system-riscv64", args.split(" ")), EXPECTED);
  });

  for (const tlb of ["normal", "tiny", "hostile"] as const) {
    test.skipBecause(noCompiler, `${what}: the same from every engine, TLB ${tlb}`, () => {
      const insns = new Set<number>();
      for (const [engine, stress] of [["interp", undefined], ["jit", undefined], ["jit", { hotJumps: 2, dropOneIn: 5 }], ["check", { hotJumps: 2 }]] as const) {
        const r = here(flavour, { engine: engine as EngineMode, tlb, ...(stress === undefined ? {} : { stress }) });
        assert.is(r.output, EXPECTED, `${engine} ${JSON.stringify(stress)}`);
        assert.is(r.code, 0);
        insns.add(r.insns);
      }
      assert.is(insns.size, 1, `instructions: ${[...insns].join(", ")}`);
    });
  }
}

test.run();
