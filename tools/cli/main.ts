// The `loanword` command. A wrong command line or an unusable file is one line on standard error and exit status 2; output
// that cannot be written is one too, and status 1.
import { readFileSync } from "node:fs";
import { ElfError } from "../../emu/elf.ts";
import { EXIT_PIPE, OutputClosed, OutputError, print, printError } from "../host/stdio.ts";
import { didYouMean } from "./nearest.ts";
import { FIRST_WORDS, flag, generalHelp, isVerb, parseCommandLine, UsageError, type Verb, verbHelp } from "./options.ts";

/** The QEMU whose board ours is compared with. Makefiles of teaching kernels ask for it before they start anything. */
const QEMU_VERSION = "7.2.0";

function version(): string {
  return (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string }).version;
}

/** Verbs load only what they need: a bare machine does without the kernel. */
async function runVerb(verb: Verb, argv: readonly string[]): Promise<number> {
  let words = argv;
  if (verb === "machine") {
    if (argv.includes("--version") || argv.includes("-version")) {
      print(`QEMU emulator version ${QEMU_VERSION} (its board virt, by loanword ${version()})\n`);
      return 0;
    }
    const translated = (await import("./qemuargs.ts")).fromQemu(argv);
    for (const note of translated.notes) printError(`loanword: ${note}\n`);
    words = translated.argv;
  }
  const line = parseCommandLine(verb, words);
  if (flag(line, "help")) {
    print(verbHelp(verb));
    return 0;
  }
  if (verb === "machine") return (await import("./machine.ts")).machineVerb(line);
  const { bootVerb, runVerb: run } = await import("./boot.ts");
  return verb === "run" ? run(line) : bootVerb(line);
}

async function run(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === undefined || verb === "--help" || verb === "-h" || verb === "help") {
    print(generalHelp());
    return verb === undefined ? 2 : 0;
  }
  if (verb === "--version" || verb === "-V") {
    print(`loanword ${version()}\n`);
    return 0;
  }
  if (verb === "disk") return (await import("./disk.ts")).diskVerb(rest);
  if (!isVerb(verb)) throw new UsageError(`${verb} is not a verb of loanword${didYouMean(verb, FIRST_WORDS) || `; use one of ${FIRST_WORDS.join(", ")}`} (see \`loanword --help\`)`);
  return runVerb(verb, rest);
}

/** => the exit status that goes with an error of the user's world; errors of ours are thrown on, with their stack */
function statusOf(e: unknown): number {
  if (e instanceof OutputClosed) return EXIT_PIPE;
  const isUsage = e instanceof UsageError || e instanceof ElfError;
  if (!isUsage && !(e instanceof OutputError)) throw e;
  printError(`loanword: ${e.message}\n`);
  return isUsage ? 2 : 1;
}

/** => the exit status */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await run(argv);
  } catch (e) {
    return statusOf(e);
  }
}
