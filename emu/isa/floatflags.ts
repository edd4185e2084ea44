// Where fflags and frm are kept, and what is derived from them: whether an inexact result still changes something.
import { FFLAGS, FP_FAST_DYN, FP_FAST_RNE, FS } from "../hart/layout.ts";
import type { Builder, V } from "./builder.ts";

/** mstatus.FS: dirty. */
export const FS_DIRTY = 3;

/**
 * Writes fflags; frm is `mode`. Once NX is set, a host operation that rounds to nearest may stand alone for an instruction:
 * FP_FAST_RNE says so for those that name that mode, FP_FAST_DYN for those that take it from frm.
 */
export function setFloatFlags(c: Pick<Builder, "op" | "i32" | "let" | "setField">, flags: V, mode: V): void {
  const nx = c.let(c.op("i32.and", flags, c.i32(1)));
  c.setField("i32.store", FFLAGS, flags);
  c.setField("i32.store", FP_FAST_RNE, nx);
  c.setField("i32.store", FP_FAST_DYN, c.op("i32.and", nx, c.op("i32.eqz", mode)));
  c.setField("i32.store", FS, c.i32(FS_DIRTY));
}
