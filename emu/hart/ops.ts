// Numbers of the interpreter's operations: what predecoded records name.
//
//   0..4                 no instructions: not decoded yet, end of the page, across two pages, illegal, translated code begins
//   5..                  the 32-bit form of each row
//   then                 rows that a 16-bit instruction expands to, once more: the length is a constant of the operation
import { compressedRows } from "../isa/compressed.ts";
import { rowNamed, rows } from "../isa/table.ts";

export const OP_DECODE = 0, OP_PAGE_END = 1, OP_CROSS = 2, OP_ILLEGAL = 3, OP_ENTER = 4, FIRST_ROW_OP = 5;

const shortBases = [...new Set(compressedRows.map((r) => rowNamed(r.base)))].sort((a, b) => a - b);
const FIRST_SHORT_OP = FIRST_ROW_OP + rows.length;
const shortOps = new Map(shortBases.map((row, i) => [row, FIRST_SHORT_OP + i]));
export const OP_COUNT = FIRST_SHORT_OP + shortBases.length;

/** The operation of a decoded instruction. */
export function opNumber(row: number, lenBytes: 2 | 4): number {
  return lenBytes === 4 ? FIRST_ROW_OP + row : shortOps.get(row)!;
}

/** The instruction of an operation; of one that is none, a row below 0. */
export function opInstruction(op: number): { row: number; lenBytes: 2 | 4 } {
  return op < FIRST_SHORT_OP ? { row: op - FIRST_ROW_OP, lenBytes: 4 } : { row: shortBases[op - FIRST_SHORT_OP]!, lenBytes: 2 };
}
