// Backtraces by call frame information: a compiled program whose calls are known, and descriptions made by hand.
import { unwind } from "../../kernel/ddb/cfi.ts";
import { EhFrame, readEhFrame } from "../../kernel/ddb/ehframe.ts";
import { Symbols } from "../../kernel/ddb/symbols.ts";
import { trace } from "../../kernel/ddb/trace.ts";
import { DiskFs } from "../../tools/diskfs.ts";
import { rootImage } from "../helpers/guest.ts";
import { atRest } from "../helpers/sleepers.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("call frames");
const CALLS = ["chain_leaf", "chain_saving", "chain_varying", "chain_recurse", "chain_recurse", "chain_recurse", "chain_main", "main"];

/** The user's frames of guest/tests/callchain at its end. */
function callchain(how: string): { names: string[]; whats: string[]; doubts: number } {
  const kernel = atRest(["/tests/callchain", how]), frames = trace(kernel, new Symbols(kernel), kernel.kern.procs.get(1)!.mainThread).filter((f) => f.where === "user");
  return { names: frames.map((f) => f.symbol.replace(/\+.*/, "")), whats: frames.map((f) => f.what), doubts: frames.slice(0, 9).filter((f) => !f.isSure).length };
}

test("a compiled program without frame pointers: every call is found, and none is doubted", () => {
  const { names, whats, doubts } = callchain("leaf");
  assert.equal(names.slice(0, 9), ["stay", ...CALLS]);
  assert.equal([...new Set(whats.slice(0, 9))], ["pc", "cfi"]);
  assert.is(doubts, 0);
});

test("a signal's handler leads to what was interrupted", () => {
  const { names, whats } = callchain("handler");
  assert.equal(names.slice(0, 11), ["stay", "chain_handler", "[vdso]", ...CALLS]);
  assert.is(whats[3], "sig");
});

// ---- descriptions made by hand: functions of 100 bytes at 0x1000, and the caller's frame in words of memory ----

const START = 0x1000, uleb = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...uleb(n >>> 7)]);
const sleb = (n: number): number[] => (n >= -64 && n < 64 ? [n & 127] : [(n & 127) | 128, ...sleb(n >> 7)]);
const u32 = (n: number): number[] => [n & 255, (n >>> 8) & 255, (n >>> 16) & 255, n >>> 24], u64 = (n: number): number[] => [...u32(n), ...u32(Math.floor(n / 2 ** 32))];
const CIE_PROGRAM = [12, 2, 0];

/** A CIE and an FDE; `wide`: with 64-bit lengths. */
function ehFrame(program: readonly number[], o: { letters?: string; data?: readonly number[]; cie?: readonly number[]; wide?: boolean } = {}): Uint8Array {
  const { letters = "", data = [], cie = CIE_PROGRAM } = o, length = (n: number): number[] => (o.wide ? [255, 255, 255, 255, ...u64(n)] : u32(n));
  const text = [...letters].map((c) => c.charCodeAt(0)), extra = letters === "" ? [] : [...uleb(data.length), ...data];
  const first = [...u32(0), 1, ...text, 0, ...uleb(2), ...sleb(-8), 1, ...extra, ...cie], one = [...length(first.length), ...first];
  const second = [...u64(START), ...u64(100), ...(letters === "" ? [] : [0]), ...program], header = length(second.length + 4);
  return Uint8Array.from([...one, ...header, ...u32(one.length + header.length), ...second, 0, 0, 0, 0]);
}

const REGS = Array.from({ length: 32 }, (_, r) => (r === 2 ? 0x8000 : 0x100 + r)), word = (va: number): number => 0x70000 + va;

/** The caller's sp, pc and s0; or why there is none. */
function callerAt(offset: number, program: readonly number[], o: Parameters<typeof ehFrame>[1] = {}): (number | null)[] | string {
  const fde = new EhFrame(ehFrame(program, o), 0).at(START + offset);
  if (fde === null) return "no description";
  const r = unwind(fde, START + offset, REGS, word);
  return typeof r === "string" ? r : [r.regs[2]!, r.pc, r.regs[8]!];
}

const RA = 0x101, S0 = 0x108, saved = (n: number): number => word(0x8000 + n);

test("frames grow and shrink with the instructions: each rule holds from its place on", () => {
  // +4: 32 bytes; +8: ra at cfa-8, s0 at cfa-16; +20: both are back; +24: no frame.
  const program = [0x42, 14, 32, 0x42, 0x80 | 1, 1, 0x80 | 8, 2, 2, 6, 0xc0 | 1, 6, 8, 3, 2, 0, 14, 0];
  assert.equal(callerAt(0, program), [0x8000, RA, S0]);
  assert.equal(callerAt(4, program), [0x8020, RA, S0]);
  assert.equal(callerAt(8, program), [0x8020, saved(24), saved(16)]);
  assert.equal(callerAt(19, program), [0x8020, saved(24), saved(16)]);
  assert.equal(callerAt(20, program), [0x8020, RA, S0]);
  assert.equal(callerAt(24, program), [0x8000, RA, S0]);
  assert.equal(callerAt(100, program), "no description");
});

test("remembered states come back with their frame; locations of one, two and four bytes", () => {
  const program = [14, 16, 0x80 | 1, 1, 10, 4, 10, 0, 0, 0, 14, 0, 0xc0 | 1, 3, 10, 0, 11];
  assert.equal([callerAt(0, program), callerAt(20, program), callerAt(40, program)], [[0x8010, saved(8), S0], [0x8000, RA, S0], [0x8010, saved(8), S0]]);
});

test("the other rules: signed offsets, another register as base, values, registers, undefined, same", () => {
  assert.equal(callerAt(0, [18, 2, ...sleb(-4), 17, 1, ...sleb(1)]), [0x8020, saved(24), S0]);
  assert.equal(callerAt(0, [13, 8, 19, ...sleb(-0x1000)]), [0x8000 + S0, RA, S0]);
  assert.equal(callerAt(0, [20, 8, 3, 9, 1, 10]), [0x8000, 0x10a, 0x8000 - 24]);
  assert.equal(callerAt(0, [21, 8, ...sleb(-3), 5, 1, 2]), [0x8000, saved(-16), 0x8000 + 24]);
  assert.equal(callerAt(0, [7, 1]), [0x8000, 0, S0]);
  assert.equal(callerAt(0, [0x80 | 8, 2, 8, 8, 0x2e, 16, 0x2f, 1, 2]), [0x8000, saved(16), S0]);
});

test("what a call does not keep is not known; what is not in memory, neither", () => {
  const fde = new EhFrame(ehFrame([]), 0).at(START)!, r = unwind(fde, START, REGS, word);
  assert.ok(typeof r !== "string" && r.regs[5] === null && r.regs[10] === null && r.regs[28] === null && r.regs[18] === 0x112);
  assert.is(unwind(new EhFrame(ehFrame([0x81, 1]), 0).at(START)!, START, REGS, () => null), "the return address is not in memory");
  assert.match(String(callerAt(0, [12, 10, 0])), /below the stack pointer/);
});

test("expressions and unknown instructions are refused by name", () => {
  assert.match(String(callerAt(0, [15, 2, 0x72, 0])), /^DW_CFA_def_cfa_expression is not followed$/);
  assert.match(String(callerAt(0, [16, 1, 1, 0x30])), /^DW_CFA_expression/);
  assert.match(String(callerAt(0, [22, 1, 1, 0x30])), /^DW_CFA_val_expression/);
  assert.match(String(callerAt(0, [0x1c])), /0x1c is not known/);
  assert.match(String(callerAt(0, [11])), /no state was remembered/);
  assert.match(String(callerAt(0, [14])), /end in the middle/);
  assert.match(String(callerAt(0, [], { cie: [] })), /no rule for the frame/);
  // Where the expression begins to hold only later, it does not matter yet.
  assert.equal(callerAt(0, [0x42, 15, 1, 0]), [0x8000, RA, S0]);
});

test("records: wide lengths, augmentation with encodings, relative addresses, signal frames; what is unknown describes nothing", () => {
  assert.equal(callerAt(0, [14, 16], { wide: true }), [0x8010, RA, S0]);
  assert.equal(callerAt(0, [14, 16], { letters: "zPLR", data: [0, ...u64(5), 0x1b, 4] }), [0x8010, RA, S0]);
  assert.is(new EhFrame(ehFrame([], { letters: "zRS", data: [4] }), 0).at(START)!.cie.isSignal, true);
  assert.is(new EhFrame(ehFrame([], { letters: "zR", data: [0x14] }), 0x4000).at(START), null, "relative to where it is written");
  assert.ok(new EhFrame(ehFrame([], { letters: "zR", data: [0x14] }), 0x4000).count === 1);
  for (const o of [{ letters: "zR", data: [0x34] }, { letters: "zX", data: [0] }, { letters: "eh" }]) assert.is(new EhFrame(ehFrame([], o), 0).count, 0);
});

test("damaged files describe less, and nothing fails", () => {
  const good = ehFrame([0x42, 14, 32, 0x42, 0x81, 1, 10, 0x88, 2, 11], { letters: "zR", data: [4] });
  for (let i = 0; i < good.length; i++) {
    for (const v of [0, 0x7f, 0xff]) {
      const bad = good.slice();
      bad[i] = v;
      const fde = new EhFrame(bad, 0).at(START + 50);
      if (fde !== null) unwind(fde, START + 50, REGS, word);
    }
    new EhFrame(good.subarray(0, i), 0).at(START);
  }
});

test("the section is found by its name, or without sections by the program header", () => {
  const disk = new DiskFs(rootImage(), { readOnly: true }), file = disk.readFile("/tests/callchain"), read = (b: Uint8Array) => (at: number, n: number) =>
    (at + n <= b.length ? b.subarray(at, at + n) : null);
  const whole = readEhFrame(read(file))!;
  assert.ok(whole.count >= 8);
  assert.is(readEhFrame(read(disk.readFile("/tests/fork"))), null, "a program without");
  assert.is(readEhFrame(() => null), null);
  // No section headers; one program header becomes that of an .eh_frame_hdr, which lies behind the file.
  const d = new DataView(file.buffer, file.byteOffset, file.byteLength), shoff = Number(d.getBigUint64(40, true)), eh = sectionVa(file, shoff);
  const bare = new Uint8Array(file.length + 16), b = new DataView(bare.buffer);
  bare.set(file);
  b.setUint16(60, 0, true);
  const phdr = Number(d.getBigUint64(32, true));
  b.setUint32(phdr, 0x6474e550, true);
  b.setBigUint64(phdr + 8, BigInt(file.length), true);
  b.setBigUint64(phdr + 16, 0x900000n, true);
  bare.set([1, 0x1b, 0xff, 0xff, ...u32((eh - 0x900004) >>> 0)], file.length);
  assert.is(readEhFrame(read(bare))?.count, whole.count);
});

/** The address of .eh_frame. */
function sectionVa(file: Uint8Array, shoff: number): number {
  const d = new DataView(file.buffer, file.byteOffset, file.byteLength), names = Number(d.getBigUint64(shoff + 64 * d.getUint16(62, true) + 24, true));
  for (let i = 0; i < d.getUint16(60, true); i++) {
    const at = names + d.getUint32(shoff + 64 * i, true);
    if (String.fromCharCode(...file.subarray(at, at + 9)) === ".eh_frame") return Number(d.getBigUint64(shoff + 64 * i + 16, true));
  }
  throw new Error("no .eh_frame");
}

test.run();
