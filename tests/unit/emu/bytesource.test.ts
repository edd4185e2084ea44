// Images that are read from where they lie: only what is needed, piece by piece into RAM, and again at each reset.
import { rmSync, truncateSync } from "node:fs";
import { type ByteSource, copyOf, sourceOf } from "../../../emu/bytesource.ts";
import { RamFiller } from "../../../emu/bus/ramfiller.ts";
import { parseElf } from "../../../emu/elf.ts";
import { Machine, type MachineConfig } from "../../../emu/machine.ts";
import { openInput } from "../../../tools/cli/files.ts";
import { UsageError } from "../../../tools/cli/options.ts";
import { machineMemory, memoryFigures } from "../../../tools/host/memory.ts";
import { assemble, elfOf } from "../../helpers/assembler.ts";
import { Scratch } from "../../helpers/cli.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("sources of images");
const BASE = 0x8000_0000, RAM_BYTES = 4 << 20, scratch = new Scratch();
const AROUND = "tohost: .dword 1\nfromhost: .dword 2";

/** A source that notes what is read of it. */
class Watched implements ByteSource {
  readonly reads: number[] = [];
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  read(offset: number, into: Uint8Array): void {
    assert.ok(offset >= 0 && offset + into.length <= this.bytes.length, "reads stay inside");
    this.reads.push(into.length);
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  /** Bytes read in all. */
  get sum(): number {
    return this.reads.reduce((n, lenBytes) => n + lenBytes, 0);
  }
}

const boot = (config: Partial<MachineConfig>): Machine => new Machine({ ramBytes: RAM_BYTES, console: { read: () => 0, write() {} }, ...config });
const ramAt = (m: Machine, at: number, lenBytes: number): Uint8Array => m.ram.u8.slice(at, at + lenBytes);
/** Bytes of a large program, and of its ELF file with two symbols. */
const large = assemble(`${AROUND}\n.align 15\nlast: .dword 3`, BASE);

test("of an ELF file only headers are read, and symbols when they are asked for", () => {
  const source = new Watched(elfOf(large, BASE, ["tohost", "fromhost"])), elf = parseElf(source);
  assert.ok(source.sum <= 128, `${source.sum} bytes`);
  assert.equal([elf.segments.length, elf.segments[0]!.fileBytes], [1, large.bytes.length]);
  assert.equal([elf.symbol("tohost"), elf.symbol("fromhost"), elf.symbol("host"), elf.symbol("")], [BASE, BASE + 8, null, 0]);
  assert.ok(source.sum < 4096);
});

test("segments, raw images and initrds are read once, in small pieces", () => {
  const elf = new Watched(elfOf(large, BASE, ["tohost"])), initrd = new Watched(new Uint8Array(100_000).fill(7)), m = boot({ kernel: { name: "elf", bytes: elf }, initrd });
  assert.equal(ramAt(m, 0, large.bytes.length), large.bytes);
  assert.equal(ramAt(m, m.initrd!.pa - BASE, 100_001), Uint8Array.from([...initrd.bytes, 0]));
  const raw = new Watched(large.bytes), n = boot({ kernel: { name: "raw", bytes: raw } });
  assert.equal(ramAt(n, 0, large.bytes.length), large.bytes);
  for (const source of [elf, initrd, raw]) {
    assert.ok(Math.max(...source.reads) <= 65536);
    assert.ok(source.sum < source.sizeBytes + 4096);
  }
});

test("zeros replace what was put before, and what RAM has held", () => {
  const ram = boot({}).ram, filler = new RamFiller(ram, true), pages = (byte: number) => sourceOf(new Uint8Array(12288).fill(byte));
  filler.put(pages(1), 0, BASE + 100, 12288);
  filler.put(pages(0), 0, BASE + 4096, 8192);
  filler.clear(BASE + 50, 100);
  const wanted = new Uint8Array(16384).fill(1, 150, 4096);
  wanted.fill(1, 12288, 12388);
  assert.equal(ram.u8.slice(0, 16384), wanted);
  new RamFiller(ram, false).put(pages(0), 0, BASE, 12288);
  assert.equal(ram.u8.slice(0, 16384), new Uint8Array(16384).fill(1, 12288, 12388));
});

test.skipBecause(process.platform === "linux" ? "" : "only Linux tells which pages are there", "what is zero in an image takes no memory of the host", () => {
  const image = new Uint8Array(24 << 20).fill(1, 0, 4096);
  image[image.length - 1] = 1;
  const m = boot({ ramBytes: 33 << 20, kernel: { name: "raw", bytes: image } }), { guestRamBytes } = memoryFigures(machineMemory(m));
  assert.ok(guestRamBytes! >= 8192 && guestRamBytes! < 1 << 20, `${guestRamBytes} bytes`);
});

test("a reset loads again what the source has then, and clears what the file leaves out", () => {
  const bytes = elfOf(large), view = new DataView(bytes.buffer), source = new Watched(bytes), memBytes = large.bytes.length + 8192;
  view.setBigUint64(104, BigInt(memBytes), true);
  const m = boot({ kernel: { name: "elf", bytes: source }, initrd: source });
  m.ram.u8.fill(0xee, 0, memBytes);
  bytes[128] = 0x55;
  m.reset();
  assert.equal(ramAt(m, 0, memBytes), Uint8Array.from([0x55, ...large.bytes.subarray(1), ...new Uint8Array(8192)]));
  assert.is(ramAt(m, m.initrd!.pa - BASE + 128, 1)[0], 0x55);
});

test("code that ran before a reset is not what runs after it", () => {
  const program = (code: number) => elfOf(assemble(`li t0, 0x100000\nli t1, ${code} << 16 | 0x3333\nsw t1, 0(t0)\nhere: j here`)), source = new Watched(program(7));
  const m = boot({ kernel: { name: "elf", bytes: source } });
  for (const code of [7, 8]) {
    source.bytes = program(code);
    m.reset();
    m.run(1000);
    assert.is(m.halted?.code, code);
  }
});

test("bytes are cut where the source ends", () => {
  const source = sourceOf(Uint8Array.of(1, 2, 3));
  assert.equal([copyOf(source, 0, 9), copyOf(source, 2, 1), copyOf(source, 3, 4), copyOf(source, 9, 1)].map((b) => [...b]), [[1, 2, 3], [3], [], []]);
});

test("a file stays readable after its name is gone; one that became shorter is a line of its own", () => {
  const path = scratch.file("kernel", elfOf(large)), source = openInput("kernel", path);
  rmSync(path);
  assert.is(parseElf(source).entry, BASE);
  const second = scratch.file("second", elfOf(large)), cut = openInput("kernel", second), m = boot({ kernel: { name: "second", bytes: cut } });
  truncateSync(second, 1000);
  let said: unknown = null;
  try {
    m.reset();
  } catch (e) {
    said = e;
  }
  assert.instance(said, UsageError);
  assert.match((said as Error).message, `kernel ${second}: the file now ends at byte 1000`);
});

test("what does not know its size is read at once", () => {
  const source = openInput("kernel", "/proc/self/stat");
  assert.ok(source.sizeBytes > 0);
  assert.match(new TextDecoder().decode(copyOf(source, 0, 64)), String(process.pid));
  assert.is(openInput("kernel", scratch.file("empty", "")).sizeBytes, 0);
});

test.run();
