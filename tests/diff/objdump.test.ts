// The disassembler against binutils' objdump, without pseudo-instructions: random operands in every row.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { disassemble } from "../../emu/isa/disasm.ts";
import { rowNamed, rows } from "../../emu/isa/table.ts";
import { encodeRow } from "../helpers/asm.ts";
import { assert, suite } from "../helpers/suite.ts";
import { compressed, compressedNames } from "./code.ts";
import { Random } from "./random.ts";

const test = suite("disassembler and objdump");
const PREFIX = "riscv64-unknown-elf-", ISA = "rv64imafdc_zba_zbb_zbs_zicsr_zifencei", ROUNDS = 12;

const run = (tool: string, args: string[]): string => spawnSync(PREFIX + tool, args, { encoding: "utf8" }).stdout ?? "";
const version = /(\d+)\.(\d+)\S*\s*$/m.exec(run("objdump", ["--version"]).split("\n")[0] ?? "");
// Symbols that name the instruction set came with 2.38.
const why = version === null ? `${PREFIX}objdump is not installed` : Number(version[1]) * 100 + Number(version[2]) < 238 ? `objdump ${version[0].trim()} is too old` : "";

/** Random operands for every row, those of which objdump 2.40 knows nothing left out. */
function randomCode(r: Random): number[] {
  const insns: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Sets of fence that nobody means are shown in several ways, and so are hints; c.nop; conversions that
    // never round have one mode.
    for (const row of rows.filter((x) => x.ext !== "zicond" && x.name !== "fence")) {
      const reg = () => r.below(32), args = row.args.split(",");
      const imm = args.includes("sh5") ? r.below(32) : args.includes("sh6") ? r.below(64) : args.includes("u") ? r.word() & ~0xfff : r.range(-1024, 1023) * 2;
      const rm = /^fcvt\.d\.(s|wu?)$/.test(row.name) ? 0 : r.below(5), csr = r.pick([0x300, 0x305, 0x341, 0xc00, 0x180, 0x105]);
      insns.push(encodeRow(row, { rd: reg(), rs1: reg(), rs2: reg(), rs3: reg(), imm, rm, csr, zimm: reg(), aq: r.percent(50), rl: r.percent(50) }));
    }
    insns.push(encodeRow(rows[rowNamed("fence")]!, { imm: (r.range(1, 15) << 4) | r.range(1, 15) }));
    for (const name of compressedNames) if (name !== "c.nop") insns.push(compressed(r, name, () => true));
  }
  return insns;
}

/** objdump's text of each address. */
function objdump(bytes: Uint8Array): Map<number, string> {
  const folder = mkdtempSync(join(tmpdir(), "loanword-objdump-")), raw = join(folder, "x.bin"), object = join(folder, "x.o");
  try {
    writeFileSync(raw, bytes);
    run("objcopy", ["-I", "binary", "-O", "elf64-littleriscv", "--rename-section", ".data=.text,alloc,load,readonly,code,contents", "--add-symbol", `$x${ISA}=.text:0,local`, raw, object]);
    const lines = run("objdump", ["-d", "-M", "no-aliases", "--no-show-raw-insn", object]).split("\n");
    return new Map(lines.flatMap((line) => {
      const m = /^\s*([0-9a-f]+):\s*(.*?)\s*$/.exec(line);
      return m === null ? [] : [[parseInt(m[1]!, 16), m[2]!] as const];
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Comments and symbols go, and the 0x of jumps' targets, which objdump does not write. */
function plain(text: string): string {
  const bare = text.replace(/\s+#.*$/, "").replace(/\s*<.*>/, "").replace(/\s+/, " ");
  return /^(c\.)?(j|b)/.test(bare) ? bare.replace(/0x([0-9a-f]+)$/, "$1") : bare;
}

test.skipBecause(why, "both say the same of every row and every 16-bit form", () => {
  const insns = randomCode(new Random(4)), bytes = new Uint8Array(insns.reduce((n, insn) => n + ((insn & 3) === 3 ? 4 : 2), 0)), view = new DataView(bytes.buffer);
  const placed: [number, number][] = [];
  let at = 0;
  for (const insn of insns) {
    placed.push([at, insn]);
    if ((insn & 3) === 3) view.setInt32(at, insn, true);
    else view.setUint16(at, insn, true);
    at += (insn & 3) === 3 ? 4 : 2;
  }
  const theirs = objdump(bytes), different: string[] = [];
  for (const [va, insn] of placed) {
    const ours = disassemble(insn, va, { plain: true }).text, other = theirs.get(va) ?? "(nothing)";
    if (plain(ours) !== plain(other)) different.push(`${va.toString(16)} ${(insn >>> 0).toString(16)}: ${plain(ours)} | ${plain(other)}`);
  }
  assert.equal(different, []);
});

test.run();
