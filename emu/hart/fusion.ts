// Pairs of instructions that are one operation of the fast function: one dispatch instead of two. To dispatch takes longest of all that
// the interpreter does where code is seldom the same again, as in kernels that boot: the host's processor guesses wrong where it goes.
// Of what Linux' boot interprets these pairs are 39 % of all neighbours, of compiled code in general 34 (emu/jit/README.md has what they gain).
//
//   record of the first     operation of the pair, its own operands: exact does the first alone
//   record of the second    as ever: control may come to it from elsewhere, or stop before it
//
// Who changes the second's record undoes the pair: a store clears the records before it (codecache.ts), an entry of translated code
// stands alone (CodeCache.standAlone).
import { rowNamed } from "../isa/table.ts";
import { OP_COUNT, opInstruction, opNumber } from "./ops.ts";

/** By first instruction; "c." is its 16-bit form. What comes first may not jump, but for a branch that is not taken, nor be TypeScript's. */
const PAIRS: Readonly<Record<string, string>> = {
  "c.ld": "c.ld c.addi c.add ld",
  "c.sd": "c.sd c.addi",
  "c.add": "c.add auipc c.ld c.addi beq ld",
  "c.addi": "c.addi c.sd c.jalr c.add bne c.ld auipc c.slli addi",
  "auipc": "jalr addi",
  "sd": "sd c.addi",
  "ld": "ld c.add c.addi",
  "addi": "addi c.addi c.add auipc",
  "xor": "xor srliw",
  "lbu": "lbu",
  "slliw": "or slliw",
  "bne": "c.ld",
  "srliw": "slliw srliw",
  "c.slli": "c.add",
  "or": "or addw",
  "c.bne": "c.ld",
  "slli": "srli c.add",
  "c.lui": "c.ld",
  "lw": "lw",
};

const operationOf = (name: string): number => (name.startsWith("c.") ? opNumber(rowNamed(name.slice(2)), 2) : opNumber(rowNamed(name), 4));

/** Operations of the pairs, in the order of their numbers, which begin at OP_COUNT. */
export const pairs: readonly { readonly first: number; readonly second: number }[] =
  Object.entries(PAIRS).flatMap(([first, seconds]) => seconds.split(" ").map((second) => ({ first: operationOf(first), second: operationOf(second) })));

/** Operations of the fast function. */
export const FAST_OP_COUNT = OP_COUNT + pairs.length;

const numbers = new Uint16Array(OP_COUNT * OP_COUNT);
pairs.forEach(({ first, second }, i) => { numbers[first * OP_COUNT + second] = OP_COUNT + i; });

/** The operation that does both of two, or 0. => second: no pair itself */
export function pairOf(first: number, second: number): number {
  return first < OP_COUNT ? numbers[first * OP_COUNT + second]! : 0;
}

/** What a record's operation does without its second instruction. */
export function firstOf(op: number): number {
  return op < OP_COUNT ? op : pairs[op - OP_COUNT]!.first;
}

/** Length in bytes of the first instruction of a pair. => 0: the operation is no pair */
export function firstLength(op: number): number {
  return op < OP_COUNT ? 0 : opInstruction(firstOf(op)).lenBytes;
}
