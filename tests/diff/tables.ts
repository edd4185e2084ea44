// Page tables of a differential test. The first 2 MiB of RAM are mapped where they lie; above, entries are random: all
// permissions, reserved bits, superpages, levels that point nowhere.
import type { Random } from "./random.ts";
import { BASE, ODD_COUNT, ODD_PAGES, ODD_VA, TABLES } from "./layout.ts";

const V = 1, R = 2, W = 4, X = 8, U = 16, A = 64, D = 128;
const SV39 = 8n << 60n;

/** Pages of tables for one privilege: root, L1, L0 of RAM, L0 of odd addresses. */
const TABLE_PAGES = 4;

export const satpOf = (privilege: 0 | 1): bigint => SV39 | BigInt((TABLES + privilege * TABLE_PAGES * 4096) / 4096) | (BigInt(privilege + 1) << 44n);

/** Address of the random entries' table, for code that changes them. */
export const oddTable = (privilege: 0 | 1): number => TABLES + (privilege * TABLE_PAGES + 3) * 4096;

export interface OddOptions {
  /** Entries of memory that is not there. */
  readonly missing: boolean;
  /** Entries that U-mode, but not S-mode, may execute. */
  readonly userCode: boolean;
}

/** A leaf with random permissions, often a sensible one, at times with a bit that must be 0. */
export function oddEntry(r: Random, { missing, userCode }: OddOptions): bigint {
  const pa = !missing || r.percent(90) ? ODD_PAGES + r.below(ODD_COUNT) * 4096 : r.pick([0x08000000, 0x1000000000, BASE + 0x10000000]);
  const flags = r.percent(60) ? V | r.pick([R, R | W, R | X, X, R | W | X, W, W | X]) | (r.percent(60) ? U : 0) | (r.percent(60) ? A : 0) | (r.percent(60) ? D : 0) : r.below(256);
  const reserved = r.percent(8) ? 1n << BigInt(r.range(54, 63)) : 0n;
  const allowed = userCode || (flags & U) === 0 ? flags : flags & ~X;
  return (BigInt(pa / 4096) << 10n) | BigInt(allowed) | BigInt(r.below(4) << 8) | reserved;
}

/** Fills the tables of both privileges. */
export function buildTables(view: DataView, r: Random, of: (privilege: 0 | 1) => OddOptions): void {
  for (const privilege of [0, 1] as const) {
    const root = TABLES + privilege * TABLE_PAGES * 4096, l1 = root + 4096, low = root + 8192, odd = oddTable(privilege);
    const put = (table: number, index: number, entry: bigint) => view.setBigUint64(table - BASE + 8 * index, entry, true);
    const pointer = (table: number) => (BigInt(table / 4096) << 10n) | BigInt(V);
    const leaf = (pa: number, flags: number) => (BigInt(pa / 4096) << 10n) | BigInt(flags | V | (privilege === 0 ? U : 0));
    put(root, 2, pointer(l1));
    put(l1, 0, pointer(low));
    put(l1, 1, pointer(odd));
    // A superpage, a misaligned one, a pointer with bits that only leaves may have.
    put(l1, 2, leaf(BASE, R | A));
    put(l1, 3, leaf(ODD_PAGES, R | W | X | A | D));
    put(l1, 4, pointer(odd) | BigInt(r.pick([U, A, D])));
    put(root, 3, leaf(BASE, R | A));
    put(root, 4, leaf(BASE + 0x10000, R | W | A | D));
    for (let i = 0; i < 512; i++) {
      put(low, i, leaf(BASE + i * 4096, R | W | X | (r.percent(70) ? A | D : 0)));
      put(odd, i, oddEntry(r, of(privilege)));
    }
  }
}

/** A virtual address that is worth trying: offset from ODD_VA, or far away. */
export function oddOffset(r: Random): number {
  const page = r.percent(75) ? r.below(512) : r.below(512 * 4);
  return page * 4096;
}

export const FAR_ADDRESSES: readonly bigint[] = [
  0x08000000n, 0x4000000000n, 0x3fffffffffn, 0x8000000000n, -0x4000000001n, 1n << 56n, -1n, 0xc0000123n, BigInt(ODD_VA) + (1n << 40n), 0x100000ff8n,
];
