// The stack a new program finds.
//
//   top   8 zero bytes
//         execfn string, environment strings, argument strings, 16 random bytes
//         (16-byte aligned from here on)
//         auxiliary vector, NULL, envp[], NULL, argv[]
//   sp ─► argc
import { toBytes } from "../uvm/uio.ts";

export const AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7, AT_FLAGS = 8, AT_ENTRY = 9, AT_UID = 11, AT_EUID = 12;
export const AT_GID = 13, AT_EGID = 14, AT_HWCAP = 16, AT_CLKTCK = 17, AT_SECURE = 23, AT_RANDOM = 25, AT_RSEQ_FEATURE_SIZE = 27, AT_RSEQ_ALIGN = 28;
export const AT_EXECFN = 31, AT_CACHE_FIRST = 40, AT_CACHE_LAST = 47, AT_MINSIGSTKSZ = 51;

/** IMAFDC. */
export const HWCAP = 0x112d;

export interface StackRequest {
  readonly top: number;
  readonly argv: readonly string[];
  readonly envp: readonly string[];
  readonly execfn: string;
  readonly random: Uint8Array;
  /** Pairs without EXECFN, RANDOM and NULL, which are known here. */
  readonly auxv: readonly (readonly [number, number])[];
}

export interface StackImage {
  readonly sp: number;
  /** What lies at sp. */
  readonly bytes: Uint8Array;
  readonly argStart: number;
  readonly argEnd: number;
  readonly envStart: number;
  readonly envEnd: number;
}

/** Lays the stack out. */
export function buildStack(r: StackRequest): StackImage {
  const { argv, envp } = r, lengths = (list: readonly string[]): number => list.reduce((n, s) => n + s.length + 1, 0);
  const execfnAt = r.top - 8 - (r.execfn.length + 1), envStart = execfnAt - lengths(envp), argStart = envStart - lengths(argv);
  const randomAt = Math.floor((argStart - 16) / 16) * 16, auxv = [...r.auxv, [AT_RANDOM, randomAt], [AT_EXECFN, execfnAt], [AT_NULL, 0]] as const;
  const words = 1 + argv.length + 1 + envp.length + 1 + 2 * auxv.length, sp = Math.floor((randomAt - 8 * words) / 16) * 16;
  const bytes = new Uint8Array(r.top - sp), d = new DataView(bytes.buffer);
  let at = 0;
  const word = (v: number): void => {
    d.setInt32(at, v | 0, true);
    d.setInt32(at + 4, Math.floor(v / 2 ** 32), true);
    at += 8;
  };
  const strings = (list: readonly string[], va: number): void => {
    for (const s of list) {
      word(va);
      bytes.set(toBytes(s), va - sp);
      va += s.length + 1;
    }
    word(0);
  };
  word(argv.length);
  strings(argv, argStart);
  strings(envp, envStart);
  for (const [key, value] of auxv) {
    word(key);
    word(value);
  }
  bytes.set(r.random.subarray(0, 16), randomAt - sp);
  bytes.set(toBytes(r.execfn), execfnAt - sp);
  return { sp, bytes, argStart, argEnd: envStart, envStart, envEnd: execfnAt };
}
