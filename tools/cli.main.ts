// The `loanword` command. A wrong command line or an unusable file is one line on standard error and exit status 2.
import { ElfError } from "../emu/elf.ts";
import { tuneV8 } from "./host/v8.ts";
import { flag, generalHelp, isVerb, parseCommandLine, UsageError, type Verb, verbHelp } from "./cli/options.ts";

/** Verbs load only what they need: a bare machine does without the kernel. */
async function runVerb(verb: Verb, argv: readonly string[]): Promise<number> {
  let words = argv;
  if (verb === "machine") {
    const translated = (await import("./cli/qemuargs.ts")).fromQemu(argv);
    for (const note of translated.notes) process.stderr.write(`loanword: ${note}\n`);
    words = translated.argv;
  }
  const line = parseCommandLine(verb, words);
  if (flag(line, "help")) {
    process.stdout.write(verbHelp(verb));
    return 0;
  }
  if (verb === "machine") return (await import("./cli/machine.ts")).machineVerb(line);
  const { bootVerb, runVerb: run } = await import("./cli/boot.ts");
  return verb === "run" ? run(line) : bootVerb(line);
}

async function main(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === undefined || verb === "--help" || verb === "-h" || verb === "help") {
    process.stdout.write(generalHelp());
    return verb === undefined ? 2 : 0;
  }
  if (verb === "disk") return (await import("./cli/disk.ts")).diskVerb(rest);
  if (!isVerb(verb)) throw new UsageError(`${verb} is not a verb of loanword; use run, boot, machine or disk (see \`loanword --help\`)`);
  return runVerb(verb, rest);
}

tuneV8();
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (e) {
  if (!(e instanceof UsageError) && !(e instanceof ElfError)) throw e;
  process.stderr.write(`loanword: ${e.message}\n`);
  process.exitCode = 2;
}
