// The flattened device tree: a builder of blobs, and the tree of our board, which is that of QEMU's virt machine.
//
//   header | reserved map (none) | structure: BEGIN name, PROP, …, END | strings: property names
//
// Everything is big-endian. The names and shapes of nodes follow QEMU's, since firmware and kernels look for those.

const MAGIC = 0xd00dfeed, VERSION = 17, COMPATIBLE_WITH = 16, HEADER_BYTES = 40, RESERVED_MAP_BYTES = 16;
const BEGIN_NODE = 1, END_NODE = 2, PROP = 3, END = 9;
const TWO32 = 4294967296;

/** A property's value: nothing, cells of 32 bits, text, a list of texts, or bytes. */
export type FdtValue = null | number | readonly number[] | string | readonly string[] | Uint8Array;

export class FdtBuilder {
  private bytes = new Uint8Array(4096);
  private length = 0;
  private depth = 0;
  private readonly strings: string[] = [];
  private stringsBytes = 0;
  private readonly stringAt = new Map<string, number>();

  /** Opens a node; the root's name is empty. */
  begin(name: string): this {
    this.u32(BEGIN_NODE);
    this.text(name);
    this.pad();
    this.depth++;
    return this;
  }

  end(): this {
    if (this.depth-- === 0) throw new Error("fdt: end without begin");
    this.u32(END_NODE);
    return this;
  }

  prop(name: string, value: FdtValue = null): this {
    const bytes = encode(value);
    this.u32(PROP);
    this.u32(bytes.length);
    this.u32(this.nameOffset(name));
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
    this.pad();
    return this;
  }

  /** => the blob, whole; all nodes are closed */
  finish(): Uint8Array {
    if (this.depth !== 0) throw new Error(`fdt: ${this.depth} nodes are open`);
    this.u32(END);
    const structAt = HEADER_BYTES + RESERVED_MAP_BYTES, stringsAt = structAt + this.length;
    const blob = new Uint8Array(Math.ceil((stringsAt + this.stringsBytes) / 8) * 8), v = new DataView(blob.buffer);
    const header = [MAGIC, blob.length, structAt, stringsAt, HEADER_BYTES, VERSION, COMPATIBLE_WITH, 0, this.stringsBytes, this.length];
    header.forEach((word, i) => v.setUint32(4 * i, word));
    blob.set(this.bytes.subarray(0, this.length), structAt);
    blob.set(latin1(this.strings.map((s) => `${s}\0`).join("")), stringsAt);
    return blob;
  }

  private nameOffset(name: string): number {
    const known = this.stringAt.get(name);
    if (known !== undefined) return known;
    const at = this.stringsBytes;
    this.stringAt.set(name, at);
    this.strings.push(name);
    this.stringsBytes += name.length + 1;
    return at;
  }

  private reserve(more: number): void {
    if (this.length + more + 8 <= this.bytes.length) return;
    const bigger = new Uint8Array(2 * (this.bytes.length + more));
    bigger.set(this.bytes.subarray(0, this.length));
    this.bytes = bigger;
  }

  private u32(word: number): void {
    this.reserve(4);
    new DataView(this.bytes.buffer).setUint32(this.length, word);
    this.length += 4;
  }

  private text(s: string): void {
    const bytes = latin1(`${s}\0`);
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  private pad(): void {
    const end = (this.length + 3) & ~3;
    this.bytes.fill(0, this.length, end);
    this.length = end;
  }
}

function latin1(s: string): Uint8Array {
  return Uint8Array.from(s, (c) => c.charCodeAt(0) & 0xff);
}

function encode(value: FdtValue): Uint8Array {
  if (value === null) return new Uint8Array(0);
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return latin1(`${value}\0`);
  const list = typeof value === "number" ? [value] : value;
  if (typeof list[0] === "string") return latin1(list.map((s) => `${s}\0`).join(""));
  const bytes = new Uint8Array(4 * list.length), v = new DataView(bytes.buffer);
  list.forEach((cell, i) => v.setUint32(4 * i, cell as number));
  return bytes;
}

/** What differs between one board and the next. */
export interface BoardTree {
  ramBytes: number;
  bootargs?: string;
  initrd?: { pa: number; len: number } | null;
  /** Bytes of entropy for the kernel's start. */
  rngSeed?: Uint8Array;
  timebaseHz?: number;
  /** Who sets A and D: adds Svade or Svadu to the extensions. */
  ad?: "hw" | "svade" | "svadu";
  virtioSlots?: number;
  /** Lists virtio slots from the last, in which order Linux numbers disks. */
  virtioFromLast?: boolean;
}

const CPU_INTC = 1, PLIC = 2, TEST = 3, CPU0 = 4;
const RAM_BASE = 0x8000_0000;

/** The multi-letter extensions of the hart. */
const EXTENSIONS = ["zicntr", "zicond", "zicsr", "zifencei", "zihpm", "zba", "zbb", "zbs", "sstc"];

function extensionsOf(ad: BoardTree["ad"]): string[] {
  return ad === "svade" || ad === "svadu" ? [...EXTENSIONS, ad] : EXTENSIONS;
}

/** The hart's `riscv,isa` string. */
export function isaString(ad: BoardTree["ad"] = "hw"): string {
  return ["rv64imafdc", ...extensionsOf(ad)].join("_");
}

/** An address or size of two cells. */
const pair = (n: number): number[] => [Math.floor(n / TWO32), n % TWO32];

/** Builds the board's device tree. */
export function boardFdt(board: BoardTree): Uint8Array {
  const f = new FdtBuilder();
  f.begin("").prop("#address-cells", 2).prop("#size-cells", 2).prop("compatible", "riscv-virtio").prop("model", "loanword,virt");
  chosen(f, board);
  f.begin(`memory@${RAM_BASE.toString(16)}`).prop("device_type", "memory").prop("reg", [...pair(RAM_BASE), ...pair(board.ramBytes)]).end();
  cpus(f, board);
  f.begin("poweroff").prop("value", 0x5555).prop("offset", 0).prop("regmap", TEST).prop("compatible", "syscon-poweroff").end();
  f.begin("reboot").prop("value", 0x7777).prop("offset", 0).prop("regmap", TEST).prop("compatible", "syscon-reboot").end();
  soc(f, board.virtioSlots ?? 8, board.virtioFromLast ?? false);
  return f.end().finish();
}

function chosen(f: FdtBuilder, board: BoardTree): void {
  f.begin("chosen").prop("stdout-path", "/soc/serial@10000000");
  if (board.bootargs !== undefined && board.bootargs !== "") f.prop("bootargs", board.bootargs);
  if (board.rngSeed !== undefined) f.prop("rng-seed", board.rngSeed);
  if (board.initrd) f.prop("linux,initrd-start", pair(board.initrd.pa)).prop("linux,initrd-end", pair(board.initrd.pa + board.initrd.len));
  f.end();
}

function cpus(f: FdtBuilder, board: BoardTree): void {
  f.begin("cpus").prop("#address-cells", 1).prop("#size-cells", 0).prop("timebase-frequency", board.timebaseHz ?? 10_000_000);
  f.begin("cpu@0").prop("phandle", CPU0).prop("device_type", "cpu").prop("reg", 0).prop("status", "okay").prop("compatible", "riscv");
  f.prop("riscv,isa", isaString(board.ad)).prop("riscv,isa-base", "rv64i");
  f.prop("riscv,isa-extensions", ["i", "m", "a", "f", "d", "c", ...extensionsOf(board.ad)]).prop("mmu-type", "riscv,sv39");
  f.begin("interrupt-controller").prop("#address-cells", 0).prop("#interrupt-cells", 1).prop("interrupt-controller")
    .prop("compatible", "riscv,cpu-intc").prop("phandle", CPU_INTC).end();
  f.end();
  f.begin("cpu-map").begin("cluster0").begin("core0").prop("cpu", CPU0).end().end().end();
  f.end();
}

/** Opens a device's node, with its registers. */
function device(f: FdtBuilder, name: string, base: number, size: number, compatible: FdtValue): FdtBuilder {
  return f.begin(`${name}@${base.toString(16)}`).prop("compatible", compatible).prop("reg", [...pair(base), ...pair(size)]);
}

function soc(f: FdtBuilder, virtioSlots: number, fromLast: boolean): void {
  f.begin("soc").prop("#address-cells", 2).prop("#size-cells", 2).prop("compatible", "simple-bus").prop("ranges");
  device(f, "serial", 0x10000000, 0x100, "ns16550a").prop("clock-frequency", 3686400).prop("interrupts", 10).prop("interrupt-parent", PLIC).end();
  device(f, "test", 0x100000, 0x1000, ["sifive,test1", "sifive,test0", "syscon"]).prop("phandle", TEST).end();
  device(f, "rtc", 0x101000, 0x1000, "google,goldfish-rtc").prop("interrupts", 11).prop("interrupt-parent", PLIC).end();
  for (let n = 0; n < virtioSlots; n++) {
    const i = fromLast ? virtioSlots - 1 - n : n;
    device(f, "virtio_mmio", 0x10001000 + 0x1000 * i, 0x1000, "virtio,mmio").prop("interrupts", 1 + i).prop("interrupt-parent", PLIC).end();
  }
  device(f, "plic", 0xc000000, 0x600000, ["sifive,plic-1.0.0", "riscv,plic0"]).prop("phandle", PLIC).prop("riscv,ndev", 95)
    .prop("interrupts-extended", [CPU_INTC, 11, CPU_INTC, 9]).prop("interrupt-controller").prop("#address-cells", 0).prop("#interrupt-cells", 1).end();
  device(f, "clint", 0x2000000, 0x10000, ["sifive,clint0", "riscv,clint0"]).prop("interrupts-extended", [CPU_INTC, 3, CPU_INTC, 7]).end();
  f.end();
}
