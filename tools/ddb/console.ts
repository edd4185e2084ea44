// ddb's prompt on the terminal of a session: a line editor of its own, because the guest's terminal is in raw mode.
import type { Kernel } from "../../kernel/kernel.ts";
import { Ddb, DdbError } from "./commands.ts";

const CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, ENTER = 13, NEWLINE = 10, CTRL_U = 21, ESCAPE = 27, DELETE = 127, PROMPT = "ddb> ";

export interface ConsoleActions {
  write(text: string): void;
  /** Back to the guest. */
  resume(): void;
  quit(): void;
}

export class DdbConsole {
  private readonly ddb: Ddb;
  private readonly actions: ConsoleActions;
  private line = "";
  private escape = false;

  constructor(kernel: Kernel, actions: ConsoleActions, ddb = new Ddb(kernel)) {
    this.ddb = ddb;
    this.actions = actions;
  }

  /** The prompt appears. */
  enter(why: string): void {
    this.line = "";
    this.actions.write(`\r\n${why}; \`help\` lists the commands\r\n${PROMPT}`);
  }

  /** Keys that were typed. */
  keys(bytes: Uint8Array): void {
    for (const b of bytes) this.key(b);
  }

  private key(b: number): void {
    if (this.escape) {
      // Arrow keys and their like: three bytes, of which the last is a letter.
      if (b >= 64 && b !== 91) this.escape = false;
      return;
    }
    if (b === ESCAPE) this.escape = true;
    else if (b === ENTER || b === NEWLINE) this.run();
    else if (b === BACKSPACE || b === DELETE) this.erase(1);
    else if (b === CTRL_U || b === CTRL_C) this.erase(this.line.length);
    else if (b === CTRL_D && this.line === "") this.actions.resume();
    else if (b >= 32) {
      this.line += String.fromCharCode(b);
      this.actions.write(String.fromCharCode(b));
    }
  }

  private erase(n: number): void {
    const gone = Math.min(n, this.line.length);
    this.line = this.line.slice(0, this.line.length - gone);
    this.actions.write("\b \b".repeat(gone));
  }

  private run(): void {
    const line = this.line.trim();
    this.line = "";
    this.actions.write("\r\n");
    if (line === "continue" || line === "c") return this.actions.resume();
    if (line === "quit" || line === "q") return this.actions.quit();
    if (line !== "") this.actions.write(`${this.answer(line).join("\r\n")}\r\n`);
    this.actions.write(PROMPT);
  }

  private answer(line: string): string[] {
    try {
      return this.ddb.command(line);
    } catch (e) {
      if (e instanceof DdbError) return [e.message];
      // A question must never end the machine, whatever state the kernel is in.
      return [`the answer failed: ${(e as Error).message}`];
    }
  }
}
