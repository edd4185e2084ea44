// The hostile TLB's memory: every translation ever walked, until a fence drops it. It is searched before walking, so a
// kernel that forgets a fence meets its stale entry, however long ago it was made.
import type { Walker } from "./walk.ts";
import { PTE_G } from "./walk.ts";
import { samePage } from "./tlb.ts";

const MODE_SHIFT = 28, ASID_SHIFT = 12;

/** One remembered leaf. */
interface Remembered {
  ppn: number;
  pte: number;
  level: number;
}

interface Space {
  readonly satpLo: number;
  readonly satpHi: number;
  readonly flags: number;
  /** By virtual page number, as a signed number. */
  readonly pages: Map<number, Remembered>;
}

export class HostileMemory {
  private readonly spaces: Space[] = [];

  private space(satpLo: number, satpHi: number, flags: number): Space {
    for (const s of this.spaces) if (s.satpLo === satpLo && s.satpHi === satpHi && s.flags === flags) return s;
    const made = { satpLo, satpHi, flags, pages: new Map<number, Remembered>() };
    this.spaces.push(made);
    return made;
  }

  find(satpLo: number, satpHi: number, flags: number, vpn: number): Remembered | undefined {
    return this.space(satpLo, satpHi, flags).pages.get(vpn);
  }

  /** Keeps the walker's result. */
  keep(satpLo: number, satpHi: number, flags: number, vpn: number, walker: Walker): void {
    this.space(satpLo, satpHi, flags).pages.set(vpn, { ppn: walker.ppn, pte: walker.pte, level: walker.level });
  }

  flushAll(): void {
    this.spaces.length = 0;
  }

  fenceAsid(asid: number): void {
    for (const s of this.of(asid)) for (const [vpn, kept] of s.pages) if ((kept.pte & PTE_G) === 0) s.pages.delete(vpn);
  }

  fenceVa(va: number, asid: number): void {
    for (const s of this.of(asid)) {
      for (const [vpn, kept] of s.pages) {
        if (asid >= 0 && (kept.pte & PTE_G) !== 0) continue;
        if (samePage(vpn * 4096, va, kept.level)) s.pages.delete(vpn);
      }
    }
  }

  private of(asid: number): Space[] {
    return this.spaces.filter((s) => s.satpHi >>> MODE_SHIFT !== 0 && (asid < 0 || ((s.satpHi >>> ASID_SHIFT) & 0xffff) === asid));
  }
}
