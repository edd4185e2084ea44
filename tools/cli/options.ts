// The command line: which options there are, what they take, and what is said about them.
import { parseArgs, type ParseArgsConfig } from "node:util";
import { didYouMean } from "./nearest.ts";

/** A wrong command line or an unusable file: one line for the user, exit status 2. */
export class UsageError extends Error {}

interface OptionRow {
  readonly name: string;
  /** What its value is called in the help; absent for a flag. */
  readonly value?: string;
  readonly short?: string;
  readonly many?: true;
  readonly help: string;
  readonly verbs: readonly Verb[];
}

export type Verb = "run" | "boot" | "machine";
const ALL: readonly Verb[] = ["run", "boot", "machine"], KERNEL: readonly Verb[] = ["run", "boot"], BARE: readonly Verb[] = ["machine"];

const ROWS: readonly OptionRow[] = [
  { name: "command", short: "c", value: "CMD", verbs: ["boot"], help: "run one command of the guest's shell; the exit status is the guest's" },
  { name: "kernel", value: "F", verbs: BARE, help: "ELF file or raw image to start" },
  { name: "bios", value: "F", verbs: BARE, help: "firmware that starts first, such as OpenSBI's fw_dynamic or fw_jump; `default` finds it, `none` is none" },
  { name: "initrd", value: "F", verbs: BARE, help: "initial RAM disk for the kernel" },
  { name: "append", value: "S", verbs: ALL, help: "the kernel's command line" },
  { name: "dumpdtb", value: "F", verbs: BARE, help: "write the board's device tree to a file, and start nothing" },
  { name: "drive", value: "F", many: true, verbs: BARE, help: "a disk image; may be given several times" },
  { name: "slots", value: "N,...", verbs: BARE, help: "virtio slots of the disks in turn, then of the random source (default: the first free ones)" },
  { name: "disk", value: "F", verbs: KERNEL, help: "root disk instead of the embedded one" },
  { name: "dir", value: "HOST[:GUEST]", many: true, verbs: KERNEL, help: "show a host folder in the guest, read-only; copied in at start" },
  { name: "rw", verbs: ALL, help: "keep changes to disks; without it they are dropped" },
  { name: "mem", value: "SIZE", verbs: ALL, help: "guest memory, such as 64M or 1G (default 128M)" },
  { name: "clock", value: "host|virtual", verbs: ALL, help: "guest clocks follow the host, or retired instructions" },
  { name: "virtio", value: "modern|legacy", verbs: ALL, help: "version of the virtio transport (default modern)" },
  { name: "ad", value: "hw|svade|svadu", verbs: ALL, help: "who sets A and D bits of page tables" },
  { name: "tlb", value: "normal|tiny|hostile", verbs: ALL, help: "how much the TLB keeps; for tests of guests" },
  { name: "engine", value: "interp|jit|check", verbs: ALL, help: "interpret, translate what is hot (default), or do both and compare" },
  { name: "tune", value: "NAME=N,...", verbs: ALL, help: "change settings of the translator; for measurements" },
  { name: "seed", value: "N", verbs: ALL, help: "seed of every random choice (default 1)" },
  { name: "trace", value: "KINDS", verbs: KERNEL, help: "trace on stderr: syscall, enosys, signal, fault, exec, exit, or all" },
  { name: "json", verbs: ALL, help: "a line of JSON on stderr at the end: exit code, instructions, time" },
  { name: "help", short: "h", verbs: ALL, help: "this text" },
];

const VERBS: Record<Verb, [use: string, what: string]> = {
  run: ["run [options] PROG [ARGS]", "runs one RISC-V ELF file of the host in the guest"],
  boot: ["boot [options] [-c CMD]", "boots the root disk to a shell"],
  machine: ["machine [options] --kernel F", "starts a kernel or firmware on the bare machine"],
};

/** What the command line asked for. */
export interface CommandLine {
  verb: Verb;
  values: Record<string, string | boolean | string[] | undefined>;
  /** What follows the options of `run`: the program and its arguments. */
  rest: string[];
}

export function isVerb(word: string | undefined): word is Verb {
  return word !== undefined && Object.hasOwn(VERBS, word);
}

function configOf(verb: Verb): NonNullable<ParseArgsConfig["options"]> {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const row of ROWS) {
    if (!row.verbs.includes(verb)) continue;
    const type = row.value === undefined ? "boolean" as const : "string" as const;
    options[row.name] = { type, ...(row.short ? { short: row.short } : {}), ...(row.many ? { multiple: true } : {}) };
  }
  return options;
}

/** Parses what follows the verb. => throws UsageError */
export function parseCommandLine(verb: Verb, argv: readonly string[]): CommandLine {
  const options = configOf(verb);
  let own = [...argv], rest: string[] = [];
  if (verb === "run") {
    // Options of the program are its own: ours end at its name.
    const { tokens } = parseArgs({ args: own, options, strict: false, allowPositionals: true, tokens: true });
    const program = tokens.find((t) => t.kind === "positional");
    const end = tokens.find((t) => t.kind === "option-terminator");
    const at = end !== undefined && (program === undefined || end.index < program.index) ? end.index : program?.index;
    if (at !== undefined) {
      rest = own.slice(end !== undefined && at === end.index ? at + 1 : at);
      own = own.slice(0, at);
    }
  }
  try {
    const { values } = parseArgs({ args: own, options, strict: true, allowPositionals: false });
    return { verb, values: values as CommandLine["values"], rest };
  } catch (e) {
    throw new UsageError(`${explain(verb, e as NodeJS.ErrnoException)} (see \`loanword ${verb} --help\`)`);
  }
}

/** Where an argument that is no option was probably meant to go. */
const STRAY: Record<Verb, string> = { run: "", boot: "; a command goes behind -c, in quotes", machine: "; the kernel goes behind --kernel" };

/** What parseArgs found wrong, in our words. */
function explain(verb: Verb, e: NodeJS.ErrnoException): string {
  const rows = ROWS.filter((r) => r.verbs.includes(verb)), quoted = /'(?:-\w, )?(--?[^ '=]*)/.exec(e.message)?.[1] ?? "";
  if (e.code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") return `there is no option ${quoted}${didYouMean(quoted.slice(2), rows.map((r) => r.name), "--")}`;
  const row = rows.find((r) => quoted === `--${r.name}` || quoted === `-${r.short}`);
  if (e.code === "ERR_PARSE_ARGS_INVALID_OPTION_VALUE" && row?.value !== undefined) {
    return e.message.includes("ambiguous") ? `${quoted} needs a value; one that begins with a dash is written ${quoted}=VALUE` : `${quoted} needs a value: ${quoted} ${row.value}`;
  }
  const first = e.message.split(/\.\s|\n/)[0]!.replace(/\.$/, "").replace(/^./, (c) => c.toLowerCase());
  return e.code === "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL" ? first + STRAY[verb] : first;
}

/** => whether the option takes a value; undefined when the verb has none of that name, which has its dashes */
export function takesValue(verb: Verb, option: string): boolean | undefined {
  const row = ROWS.find((r) => r.verbs.includes(verb) && (option === `--${r.name}` || option === `-${r.short}`));
  return row && row.value !== undefined;
}

/** => the value of an option that takes one */
export function text(line: CommandLine, name: string): string | undefined {
  const value = line.values[name];
  return typeof value === "string" ? value : undefined;
}

export function flag(line: CommandLine, name: string): boolean {
  return line.values[name] === true;
}

export function list(line: CommandLine, name: string): string[] {
  const value = line.values[name];
  return Array.isArray(value) ? value : [];
}

/** => the option's value, which must be one of `choices` */
export function choice<T extends string>(line: CommandLine, name: string, choices: readonly T[], otherwise: T): T {
  const value = text(line, name);
  if (value === undefined) return otherwise;
  const found = choices.find((c) => c === value);
  if (found === undefined) throw new UsageError(`--${name} ${value}: use one of ${choices.join(", ")}`);
  return found;
}

const UNITS: Record<string, number> = { "": 1, K: 1024, M: 1 << 20, G: 1 << 30 };
const RAM_MIN = 1 << 20, RAM_MAX = 2 ** 31;

/** => bytes of guest memory */
export function memoryBytes(line: CommandLine): number {
  const value = text(line, "mem") ?? "128M", m = /^(\d+)([KMG]?)(i?B)?$/i.exec(value);
  const bytes = m === null ? NaN : Number(m[1]) * UNITS[m[2]!.toUpperCase()]!;
  if (!(bytes >= RAM_MIN && bytes <= RAM_MAX) || bytes % 4096 !== 0) throw new UsageError(`--mem ${value}: give whole pages between 1M and 2G, such as 128M`);
  return bytes;
}

export function seed(line: CommandLine): number {
  const value = text(line, "seed") ?? "1";
  if (!/^\d{1,10}$/.test(value) || Number(value) > 0xffffffff) throw new UsageError(`--seed ${value}: give a number below 2^32`);
  return Number(value);
}

/** The help of one verb. */
export function verbHelp(verb: Verb): string {
  const [use, what] = VERBS[verb], rows = ROWS.filter((r) => r.verbs.includes(verb));
  const left = rows.map((r) => `${r.short ? `-${r.short}, ` : ""}--${r.name}${r.value ? ` ${r.value}` : ""}`);
  const width = Math.max(...left.map((l) => l.length)) + 2;
  return `loanword ${use}\n\n${what}\n\n${rows.map((r, i) => `  ${left[i]!.padEnd(width)}${r.help}`).join("\n")}\n\n${verb === "machine" ? QEMU : ""}${KEYS}\n`;
}

const QEMU = "QEMU's options for its board virt are taken too, with what they mean there (disks are written!): make qemu QEMU='npx --prefix LOANWORD_FOLDER loanword machine'\n\n";
const KEYS = "On a terminal Ctrl-C goes to the guest; Ctrl-A x leaves, Ctrl-A c opens the debugger.";

/** Has commands of its own (disk.ts). */
const DISK_ROW = ["disk COMMAND IMAGE ...", "creates, lists, fills and checks disk images"] as const;

export function generalHelp(): string {
  const rows = [...Object.values(VERBS), DISK_ROW], width = Math.max(...rows.map(([use]) => use.length)) + 2;
  return `loanword: a RISC-V machine and a BSD-style kernel\n\n${rows.map(([use, what]) => `  loanword ${use.padEnd(width)}${what}`).join("\n")}\n\n` +
    `loanword VERB --help lists the options, loanword --version tells the version. ${KEYS}\n`;
}

/** What the first word of the command line may be. */
export const FIRST_WORDS: readonly string[] = [...Object.keys(VERBS), "disk"];
