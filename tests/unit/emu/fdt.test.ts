// The device tree, judged by dtc where it is installed, and the ELF reader on made-up files.
import { spawnSync } from "node:child_process";
import { boardFdt, FdtBuilder, isaString } from "../../../emu/fdt.ts";
import { MemoryBackend } from "../../../emu/dev/backend.ts";
import { ElfError, parseElf } from "../../../emu/elf.ts";
import { Machine, type MachineConfig, VIRTIO_BASE, VIRTIO_SLOTS, VIRTIO_STRIDE } from "../../../emu/machine.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("fdt and elf");
const noDtc = spawnSync("dtc", ["--version"]).status === 0 ? "" : "dtc is not installed";

function decompile(blob: Uint8Array): string {
  const r = spawnSync("dtc", ["-I", "dtb", "-O", "dts"], { input: blob, encoding: "utf8" });
  assert.is(r.status, 0, r.stderr);
  assert.is(r.stderr.replace(/^.*nodedir.*\n/m, ""), "", "no warnings");
  return r.stdout;
}

test.skipBecause(noDtc, "dtc reads the board's tree without a warning and finds what was put in", () => {
  const text = decompile(boardFdt({
    ramBytes: 256 << 20, bootargs: "console=ttyS0 \"x\"", initrd: { pa: 0x8800_0000, len: 0x1234 }, rngSeed: new Uint8Array(32).fill(0xab), ad: "svadu",
  }));
  for (const line of [
    'compatible = "riscv-virtio"', 'bootargs = "console=ttyS0 \\"x\\""', "linux,initrd-start = <0x00 0x88000000>", "linux,initrd-end = <0x00 0x88001234>",
    "reg = <0x00 0x80000000 0x00 0x10000000>", 'mmu-type = "riscv,sv39"', "timebase-frequency = <0x989680>", `riscv,isa = "${isaString("svadu")}"`,
    "interrupts-extended = <0x01 0x0b 0x01 0x09>", "interrupts-extended = <0x01 0x03 0x01 0x07>",
    "virtio_mmio@10008000 {", 'stdout-path = "/soc/serial@10000000"',
  ]) assert.ok(text.includes(line), `${line}\n${text}`);
});

test.skipBecause(noDtc, "properties of every kind survive, however many", () => {
  const f = new FdtBuilder();
  f.begin("").prop("#address-cells", 1).prop("#size-cells", 0).prop("empty").prop("text", "a").prop("list", ["a", "bc"]).prop("bytes", Uint8Array.of(1, 2, 3));
  for (let i = 0; i < 500; i++) f.begin(`node-${i}`).prop(`p${i}`, [i, 0xffffffff]).end();
  const text = decompile(f.end().finish());
  assert.ok(text.includes("p499 = <0x1f3 0xffffffff>") && text.includes("bytes = [01 02 03]"));
});

test("disks and random source are in the slots that were asked for, else in the first free ones; then the tree lists slots from the last, as QEMU's", () => {
  const board = (more: Partial<MachineConfig>) => new Machine({ ramBytes: 1 << 20, console: { read: () => 0, write() {} }, drives: [1, 2].map(() => new MemoryBackend(new Uint8Array(4096))), ...more });
  const ids = (m: Machine) => Array.from({ length: VIRTIO_SLOTS }, (_, i) => m.bus.read(VIRTIO_BASE + i * VIRTIO_STRIDE + 8, 4)).join("");
  const order = (m: Machine) => [...Buffer.from(m.fdt).toString("latin1").matchAll(/virtio_mmio@1000(\d)000/g)].map((found) => found[1]).join("");
  const plain = board({}), some = board({ slots: [7, 0] }), all = board({ slots: [2, 3, 7] });
  assert.equal([ids(plain), ids(some), ids(all)], ["22400000", "24000002", "00220004"]);
  for (const slots of [[1, 1], [8], [0, 1, 1]]) assert.throws(() => board({ slots }), /virtio slot [18] is taken or not there/);
  assert.equal([order(plain), order(some), order(all)], ["12345678", "87654321", "87654321"]);
});

test("the ISA string begins as Linux wants it", () => {
  assert.ok(isaString().startsWith("rv64imafdc_"));
  assert.ok(!isaString().includes("svad") && isaString("svade").endsWith("_svade"));
});

/** A RISC-V executable of one segment. */
function elf(change: (v: DataView, bytes: Uint8Array) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(256), v = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  v.setUint16(16, 2, true);
  v.setUint16(18, 243, true);
  v.setBigUint64(24, 0xffffffff80000000n, true);
  v.setBigUint64(32, 64n, true);
  v.setUint16(54, 56, true);
  v.setUint16(56, 1, true);
  v.setUint32(64, 1, true);
  v.setBigUint64(72, 128n, true);
  v.setBigUint64(80, 0xffffffff80000000n, true);
  v.setBigUint64(88, 0x80200000n, true);
  v.setBigUint64(96, 128n, true);
  v.setBigUint64(104, 4096n, true);
  change(v, bytes);
  return bytes;
}

test("a good file gives segments by physical and signed virtual address", () => {
  const file = parseElf(elf()), s = file.segments[0]!;
  assert.is(file.entry, -0x80000000);
  assert.equal([s.va, s.pa, s.offset, s.fileBytes, s.memBytes], [-0x80000000, 0x80200000, 128, 128, 4096]);
  assert.is(file.symbol("tohost"), null);
});

test("a bad file gives one clear reason", () => {
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /is empty/],
    [new TextEncoder().encode("#!/bin/sh\n"), /is not an ELF file/],
    [elf().slice(0, 40), /truncated/],
    [elf().slice(0, 100), /truncated: its program headers/],
    [elf().slice(0, 200), /truncated: segment 0 ends at byte 256, the file at 200/],
    [elf((v) => v.setUint16(18, 62, true)), /is for x86-64, not for RISC-V/],
    [elf((_v, b) => void (b[4] = 1)), /32-bit/],
    [elf((_v, b) => void (b[5] = 2)), /not for RISC-V|big-endian/],
    [elf((v) => v.setUint16(16, 1, true)), /object file/],
    [elf((v) => v.setUint16(56, 0, true)), /no program segments/],
    [elf((v) => v.setUint32(100, 0xffff, true)), /truncated/],
    [elf((v) => v.setBigUint64(104, 1n, true)), /larger in the file/],
  ];
  for (const [bytes, reason] of cases) {
    let message = "";
    try {
      parseElf(bytes);
    } catch (e) {
      assert.instance(e, ElfError);
      message = (e as Error).message;
    }
    assert.match(message, reason);
  }
});

test.run();
