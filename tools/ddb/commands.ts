// ddb's commands: each asks kernel/ddb and prints. A wrong argument is one line; nothing is lost by it.
import { Profile } from "../../kernel/ddb/profile.ts";
import { Symbols } from "../../kernel/ddb/symbols.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { ENGINE_COMMANDS } from "./engine.ts";
import { columns, type Command, type Context, DdbError } from "./format.ts";
import { MEMORY_COMMANDS } from "./memory.ts";
import { THREAD_COMMANDS, traceReport } from "./threads.ts";

export { DdbError } from "./format.ts";

const COMMANDS: readonly Command[] = [...THREAD_COMMANDS, ...MEMORY_COMMANDS, ...ENGINE_COMMANDS];

/** The debugger of one kernel: what it has read of symbols and sampled stays with it. */
export class Ddb implements Context {
  readonly kernel: Kernel;
  readonly symbols: Symbols;
  readonly profile: Profile;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
    this.symbols = new Symbols(kernel);
    this.profile = new Profile(kernel, this.symbols);
  }

  /** Runs one line. => what to print; throws DdbError for what cannot be done */
  command(line: string): string[] {
    const [word = "", ...args] = line.trim().split(/\s+/);
    if (word === "help" || word === "?") {
      return [...columns(COMMANDS.map((c) => [`${c.name} ${c.args}`, c.help])), "continue, or Ctrl-A c: back to the guest    quit: ends the machine"];
    }
    const found = COMMANDS.filter((c) => c.name === word), near = found.length > 0 ? found : COMMANDS.filter((c) => c.name.startsWith(word));
    if (near.length !== 1) throw new DdbError(`${word} is ${near.length === 0 ? "no command" : `short for ${near.map((c) => c.name).join(" and ")}`}; \`help\` lists them`);
    return near[0]!.run(this, args);
  }

  /** What a kernel bug leaves for who has no terminal: the panic, processes, locks, counters, as far as they can still be read. */
  panicReport(): string {
    const { kernel } = this, { loaded } = kernel.kern.sched;
    const answer = (ask: () => string[]): string[] => {
      try {
        return ask();
      } catch (e) {
        return [`cannot be told: ${(e as Error).message}`];
      }
    };
    const commands = ["ps", "locks", "vmstat"].map((c) => ({ title: c, lines: answer(() => this.command(c)) }));
    const way = loaded === null ? [] : [{ title: `backtrace ${loaded.proc.pid}: whose registers are in the hart`, lines: answer(() => traceReport(this, [String(loaded.proc.pid)])) }];
    const parts = [...way, ...commands].flatMap(({ title, lines }) => [`--- ${title}`, ...lines]);
    return `panic: ${kernel.panicked?.message ?? "?"}\n${kernel.panicked?.stack ?? ""}\n${parts.join("\n")}\n`;
  }
}

/** One line to a debugger made for it. */
export function ddbCommand(kernel: Kernel, line: string): string[] {
  return new Ddb(kernel).command(line);
}

export function panicReport(kernel: Kernel): string {
  return new Ddb(kernel).panicReport();
}
