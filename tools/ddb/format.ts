// How ddb's commands take their arguments and print.
import { type Profile } from "../../kernel/ddb/profile.ts";
import { Symbols } from "../../kernel/ddb/symbols.ts";
import type { Process } from "../../kernel/kern/proc.ts";
import type { Kernel } from "../../kernel/kernel.ts";

/** What the user typed cannot be done; the message is one line. */
export class DdbError extends Error {}

/** What a command works on. */
export interface Context {
  readonly kernel: Kernel;
  readonly symbols: Symbols;
  /** Where the guest spent its time, if somebody samples it. */
  readonly profile: Profile | null;
}

export interface Command {
  readonly name: string;
  readonly args: string;
  readonly help: string;
  run(c: Context, args: readonly string[]): string[];
}

export const hex = (n: number, width = 0): string => (n < 0 ? BigInt.asUintN(64, BigInt(n)) : BigInt(n)).toString(16).padStart(width, "0");
export const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

/** Columns, the first row as the head. */
export function columns(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((r) => String(r[i]).length)));
  return rows.map((r) => r.map((cell, i) => (typeof cell === "number" ? String(cell).padStart(widths[i]!) : cell.padEnd(widths[i]!))).join("  ").trimEnd());
}

/** Names and numbers in two columns. */
export function counters(all: Readonly<Record<string, unknown>>): string[] {
  const rows = Object.entries(all).filter(([, v]) => typeof v === "number").map(([name, v]) => `${name.padEnd(16)}${String(v).padStart(12)}`), half = Math.ceil(rows.length / 2);
  return rows.slice(0, half).map((left, i) => `${left}    ${rows[half + i] ?? ""}`.trimEnd());
}

export function processOf(kernel: Kernel, word: string | undefined): Process {
  if (word === undefined || !/^\d+$/.test(word)) throw new DdbError("give a process number; `ps` lists them");
  const p = kernel.kern.procs.get(Number(word));
  if (p === undefined) throw new DdbError(`there is no process ${word}; \`ps\` lists them`);
  return p;
}

export function address(word: string | undefined): number {
  if (word === undefined || !/^(0x)?[0-9a-f]{1,16}$/i.test(word)) throw new DdbError(`${word ?? "nothing"}: give an address in hexadecimal`);
  return Number(BigInt.asIntN(64, BigInt(`0x${word.replace(/^0x/i, "")}`)));
}
