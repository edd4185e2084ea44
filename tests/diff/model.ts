// What QEMU 7.2 cannot tell: A and D by Svade and Svadu, and Zicond. Written from the specification's prose in BigInt,
// sharing nothing with emu.

export interface PageState {
  readonly pte: bigint;
  readonly priv: 0 | 1;
  readonly sum: boolean;
  readonly mxr: boolean;
  /** The hart sets A and D itself. */
  readonly hardware: boolean;
}

export type Access = "load" | "store" | "fetch";

/** Cause of the page fault of each access. */
const FAULT: Readonly<Record<Access, number>> = { fetch: 12, load: 13, store: 15 };

const bit = (pte: bigint, n: number): boolean => ((pte >> BigInt(n)) & 1n) === 1n;

/** One access through a 4 KiB leaf. => its page fault's cause, or 0; and the entry afterwards */
export function translate({ pte, priv, sum, mxr, hardware }: PageState, access: Access): { cause: number; pte: bigint } {
  const [v, r, w, x, u, , a, d] = Array.from({ length: 8 }, (_, n) => bit(pte, n)) as [boolean, boolean, boolean, boolean, boolean, boolean, boolean, boolean];
  const fault = { cause: FAULT[access], pte };
  // Steps 3 to 7 of the virtual address translation process.
  if (!v || (!r && w) || pte >> 54n !== 0n) return fault;
  if (!r && !x) return fault;
  if (access === "load" && !(r || (mxr && x))) return fault;
  if (access === "store" && !w) return fault;
  if (access === "fetch" && !x) return fault;
  if (priv === 0 && !u) return fault;
  if (priv === 1 && u && (access === "fetch" || !sum)) return fault;
  const wanted = (1n << 6n) | (access === "store" ? 1n << 7n : 0n);
  if (a && (d || access !== "store")) return { cause: 0, pte };
  return hardware ? { cause: 0, pte: pte | wanted } : fault;
}

export function czero(name: "czero.eqz" | "czero.nez", value: bigint, condition: bigint): bigint {
  return (condition === 0n) === (name === "czero.eqz") ? 0n : value;
}
