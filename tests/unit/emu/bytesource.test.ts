// Images that are read from where they lie: only what is needed, straight into RAM, and again at each reset.
import { rmSync, truncateSync } from "node:fs";
import { type ByteSource, copyOf, sourceOf } from "../../../emu/bytesource.ts";
import { parseElf } from "../../../emu/elf.ts";
import { Machine, type MachineConfig } from "../../../emu/machine.ts";
import { openInput } from "../../../tools/cli/files.ts";
import { UsageError } from "../../../tools/cli/options.ts";
import { assemble, elfOf } from "../../helpers/assembler.ts";
import { Scratch } from "../../helpers/cli.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("sources of images");
const BASE = 0x8000_0000, RAM_BYTES = 4 << 20, scratch = new Scratch();
const AROUND = "tohost: .dword 1\nfromhost: .dword 2";

/** A source that notes what is read of it, and into which memory. */
class Watched implements ByteSource {
  readonly reads: { offset: number; lenBytes: number; into: ArrayBufferLike }[] = [];
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get sizeBytes(): number {
    return this.bytes.length;
  }

  read(offset: number, into: Uint8Array): void {
    assert.ok(offset >= 0 && offset + into.length <= this.bytes.length, "reads stay inside");
    this.reads.push({ offset, lenBytes: into.length, into: into.buffer });
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  /** Bytes read into anything but a buffer. */
  besides(buffer: ArrayBufferLike | null): number {
    return this.reads.filter((r) => r.into !== buffer).reduce((n, r) => n + r.lenBytes, 0);
  }
}

const boot = (config: Partial<MachineConfig>): Machine => new Machine({ ramBytes: RAM_BYTES, console: { read: () => 0, write() {} }, ...config });
const ramAt = (m: Machine, at: number, lenBytes: number): Uint8Array => m.ram.u8.slice(at, at + lenBytes);
/** Bytes of a large program, and of its ELF file with two symbols. */
const large = assemble(`${AROUND}\n.align 15\nlast: .dword 3`, BASE);

test("of an ELF file only headers are read, and symbols when they are asked for", () => {
  const source = new Watched(elfOf(large, BASE, ["tohost", "fromhost"])), elf = parseElf(source);
  assert.ok(source.besides(null) <= 128, `${source.besides(null)} bytes`);
  assert.equal([elf.segments.length, elf.segments[0]!.fileBytes], [1, large.bytes.length]);
  assert.equal([elf.symbol("tohost"), elf.symbol("fromhost"), elf.symbol("host"), elf.symbol("")], [BASE, BASE + 8, null, 0]);
  assert.ok(source.besides(null) < 4096);
});

test("segments, raw images and initrds go straight into RAM", () => {
  const elf = new Watched(elfOf(large, BASE, ["tohost"])), initrd = new Watched(new Uint8Array(5000).fill(7)), m = boot({ kernel: { name: "elf", bytes: elf }, initrd });
  assert.equal(ramAt(m, 0, large.bytes.length), large.bytes);
  assert.equal(ramAt(m, m.initrd!.pa - BASE, 5001), Uint8Array.from([...initrd.bytes, 0]));
  const raw = new Watched(large.bytes), n = boot({ kernel: { name: "raw", bytes: raw } });
  assert.equal(ramAt(n, 0, large.bytes.length), large.bytes);
  assert.ok(elf.besides(m.ram.u8.buffer) < 4096 && raw.besides(n.ram.u8.buffer) < 16 && initrd.besides(m.ram.u8.buffer) === 0);
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
