// The bare machine: our own programs in M, S and U mode, and firmware it has never seen.
import { existsSync, readFileSync } from "node:fs";
import { MemoryBackend } from "../../emu/dev/backend.ts";
import { Machine, type MachineConfig } from "../../emu/machine.ts";
import { assemble, elfOf } from "../helpers/assembler.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("bare machine");
const OPENSBI = "/usr/lib/riscv64-linux-gnu/opensbi/generic";
const noOpenSbi = existsSync(`${OPENSBI}/fw_dynamic.bin`) ? "" : "Debian's opensbi is not installed";

interface Outcome {
  code: number | null;
  output: string;
  machine: Machine;
}

/** Runs until the machine halts. => its exit code, null when it did not halt, and what the console showed */
function run(config: Partial<MachineConfig>, maxInsns = 2e6): Outcome {
  let output = "";
  const machine = new Machine({ ramBytes: 16 << 20, console: { read: () => 0, write: (b) => void (output += String.fromCharCode(...b)) }, ...config });
  machine.run(maxInsns);
  return { code: machine.halted?.code ?? null, output, machine };
}

const program = (name: string) => ({ name, bytes: elfOf(assemble(readFileSync(`guest/bare/${name}.S`, "utf8"))) });
const text = (source: string, base = 0x8000_0000, names: string[] = []) => ({ name: "test", bytes: elfOf(assemble(source, base), base, names) });
const disk = () => new MemoryBackend(Uint8Array.from({ length: 65536 }, (_, i) => i & 255));

for (const tlb of ["normal", "tiny", "hostile"] as const) {
  for (const ad of ["hw", "svade", "svadu"] as const) {
    test(`M to S to U with Sv39 and delegation, TLB ${tlb}, A/D ${ad}`, () => assert.is(run({ kernel: program("modes"), tlb, ad }).code, 0));
  }
}

test("timer, software, stimecmp and PLIC interrupts reach M and S", () => assert.is(run({ kernel: program("interrupts") }).code, 0));

for (const virtio of ["modern", "legacy"] as const) {
  test(`a bare driver moves sectors through ${virtio} virtio-blk, by interrupt`, () => {
    const drive = disk(), sector = new Uint8Array(512);
    assert.is(run({ kernel: program("disk"), drives: [drive], virtio }).code, 0);
    drive.read(1024, sector);
    assert.ok(sector.every((b, i) => b === ((i + 1) & 255)));
  });
}

test("the same run twice ends at the same instruction and nanosecond", () => {
  const once = () => {
    const { machine } = run({ kernel: program("disk"), drives: [disk()] });
    return [machine.hart.instret, machine.clock.now];
  };
  assert.equal(once(), once());
});

test("the finisher's code is the machine's", () => {
  assert.is(run({ kernel: text("li t0, 0x100000\n li t1, 42 << 16 | 0x3333\n sw t1, 0(t0)\n here: j here") }).code, 42);
});

test("tohost ends the machine with its code", () => {
  const source = "la t0, tohost\n li t1, 7\n sd t1, 0(t0)\n here: j here\n .align 6\n tohost: .dword 0\n fromhost: .dword 0";
  const kernel = text(source, 0x8000_0000, ["tohost", "fromhost"]);
  assert.is(run({ kernel }).code, 3);
});

test("a program that waits for nothing is idle, not hung; one that runs wild spends its budget", () => {
  assert.is(run({ kernel: text("again: wfi\n j again") }).machine.run(1e6), "idle");
  assert.is(run({ kernel: text("again: j again") }).machine.run(1e5), "budget");
  assert.is(run({ kernel: { name: "garbage", bytes: Uint8Array.from({ length: 4096 }, (_, i) => (i * 89) ^ (i >> 3)) } }).code, null);
});

test("a raw image starts at the bottom of RAM with the hart's number and the device tree", () => {
  const check = "bnez a0, bad\n lw t0, 0(a1)\n li t1, -0x1201f230\n bne t0, t1, bad\n";
  const { bytes } = assemble(`${check} li t2, 0x100000\n li t3, 0x5555\n sw t3, 0(t2)\n bad: j bad`);
  assert.is(run({ kernel: { name: "raw", bytes } }).code, 0);
});

test("the reset vector lies in the ROM, and the hart starts as if it had run it", () => {
  const source = `
    la s0, values
    lw t1, 0(s0)
    li t2, 0x1000
    lw t3, 0(t2)
    bne t1, t3, bad
    la t1, begin
    bne t0, t1, bad
    ld t3, 0x18(t2)
    bne t3, t1, bad
    ld t3, 0x20(t2)
    bne t3, a1, bad
    addi t3, t2, 0x28
    bne t3, a2, bad
    bnez a0, bad
    csrr t1, mvendorid
    bnez t1, bad
    li t2, 0x100000
    li t3, 0x5555
    sw t3, 0(t2)
bad: j bad
values: .word 0x297`;
  assert.is(run({ kernel: text(`begin: ${source}`) }).code, 0);
});

// In S-mode: prints by SBI, then asks for a shutdown.
const SBI_PROGRAM = `
    la s0, text
next:
    lbu a0, 0(s0)
    beqz a0, off
    li a7, 1
    ecall
    addi s0, s0, 1
    j next
off:
    li a7, 0x53525354
    li a6, 0
    li a0, 0
    li a1, 0
    ecall
here: j here
text: .asciz "hello from S-mode\\n"`;

for (const firmware of ["fw_dynamic.bin", "fw_dynamic.elf", "fw_jump.bin"]) {
  test.skipBecause(noOpenSbi, `OpenSBI's ${firmware} prints the hart's features and starts an S-mode kernel`, () => {
    const bios = { name: firmware, bytes: new Uint8Array(readFileSync(`${OPENSBI}/${firmware}`)) };
    const { code, output } = run({ ramBytes: 64 << 20, bios, kernel: text(SBI_PROGRAM, 0x8020_0000) }, 4e7);
    for (const line of [
      /^OpenSBI v/m, /Platform Name +: loanword,virt/, /Platform Timer Device +: aclint-mtimer @ 10000000Hz/, /Platform Console Device +: uart8250/,
      /Platform Shutdown Device +: sifive_test/, /Boot HART Base ISA +: rv64imafdc/, /Boot HART ISA Extensions +: .*sstc/, /Boot HART PMP Count +: 16/,
      /Boot HART Priv Version +: v1\.12/, /hello from S-mode/,
    ]) assert.match(output, line);
    assert.is(code, 0);
  });
}

test.run();
