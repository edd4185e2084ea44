// Copies between the kernel and user memory, through the user's page tables with the user's rights (SUM semantics).
//
// Nothing here faults: a copy stops at the first page that is not mapped as needed and says how far it came, and where and
// for what access it stopped. The caller resolves the fault and goes on (uvm/uio.ts). A missing A or D bit is set here, as
// the hart would or the fixup does.
import type { PhysMem } from "./physmem.ts";
import { PAGE_SIZE } from "./physmem.ts";
import type { Pmap, PmapModule } from "./pmap.ts";
import { PTE_A, PTE_D, PTE_R, PTE_U, PTE_V, PTE_W } from "./pmap.ts";
import { PROT_READ, PROT_WRITE } from "./prot.ts";

const RAM_PFN = 0x80000, WORDS = PAGE_SIZE / 4, USER_PAGES = 2 ** 26;

export class UserCopy {
  /** Where the last short copy stopped, and what it wanted (PROT_READ or PROT_WRITE). */
  faultVa = 0;
  faultAccess = 0;
  private readonly mem: PhysMem;
  private readonly pmap: PmapModule;
  private readonly i32: Int32Array;

  constructor(mem: PhysMem, pmap: PmapModule) {
    this.mem = mem;
    this.pmap = pmap;
    this.i32 = mem.i32;
  }

  /**
   * Byte offset in RAM of a user address for an access, or -1: not mapped so.
   *
   * => valid for the rest of the page, until something sleeps or changes the map
   */
  translate(pm: Pmap, va: number, access: number): number {
    const vpn = Math.floor(va / PAGE_SIZE);
    if (vpn < 0 || vpn >= USER_PAGES) return this.stop(va, access);
    let table = pm.rootPg, pte = 0;
    for (let level = 2; level >= 0; level--) {
      pte = this.i32[table * WORDS + ((vpn >> (9 * level)) & 511) * 2]!;
      if ((pte & PTE_V) === 0) return this.stop(va, access);
      table = (pte >>> 10) - RAM_PFN;
    }
    const want = access === PROT_WRITE ? PTE_U | PTE_R | PTE_W | PTE_A | PTE_D : PTE_U | PTE_R | PTE_A;
    if ((pte & want) !== want && !this.pmap.pmapFixup(pm, va, access)) return this.stop(va, access);
    return table * PAGE_SIZE + (va - vpn * PAGE_SIZE);
  }

  private stop(va: number, access: number): number {
    this.faultVa = va;
    this.faultAccess = access;
    return -1;
  }

  /** User to kernel: len bytes at va to into[off..]. => bytes done */
  copyinFast(pm: Pmap, va: number, into: Uint8Array, off: number, len: number): number {
    for (let done = 0; done < len;) {
      const at = this.translate(pm, va + done, PROT_READ);
      if (at < 0) return done;
      const n = Math.min(len - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
      into.set(this.mem.u8.subarray(at, at + n), off + done);
      done += n;
    }
    return len;
  }

  /** Kernel to user: from[off..] to len bytes at va. => bytes done */
  copyoutFast(pm: Pmap, va: number, from: Uint8Array, off: number, len: number): number {
    for (let done = 0; done < len;) {
      const at = this.translate(pm, va + done, PROT_WRITE);
      if (at < 0) return done;
      const n = Math.min(len - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
      this.mem.u8.set(from.subarray(off + done, off + done + n), at);
      this.mem.touched(at, n);
      done += n;
    }
    return len;
  }

  /** Sets len bytes of user memory to zero. => bytes done */
  zeroFast(pm: Pmap, va: number, len: number): number {
    for (let done = 0; done < len;) {
      const at = this.translate(pm, va + done, PROT_WRITE);
      if (at < 0) return done;
      const n = Math.min(len - done, PAGE_SIZE - (at & (PAGE_SIZE - 1)));
      this.mem.u8.fill(0, at, at + n);
      this.mem.touched(at, n);
      done += n;
    }
    return len;
  }

  /**
   * The length of a string at va, up to its NUL, looking at most at `max` bytes.
   *
   * => length, max when there is no NUL, or -1: stopped at faultVa
   */
  strlenFast(pm: Pmap, va: number, max: number): number {
    for (let done = 0; done < max;) {
      const at = this.translate(pm, va + done, PROT_READ);
      if (at < 0) return -1;
      const n = Math.min(max - done, PAGE_SIZE - (at & (PAGE_SIZE - 1))), nul = this.mem.u8.subarray(at, at + n).indexOf(0);
      if (nul >= 0) return done + nul;
      done += n;
    }
    return max;
  }

  /** One aligned 32-bit word. => false: stopped at faultVa; else it is in `word` */
  load32(pm: Pmap, va: number): boolean {
    if ((va & 3) !== 0) return this.copyinFast(pm, va, this.four, 0, 4) === 4 && this.takeFour();
    const at = this.translate(pm, va, PROT_READ);
    if (at < 0) return false;
    this.word = this.i32[at >>> 2]!;
    return true;
  }

  store32(pm: Pmap, va: number, value: number): boolean {
    if ((va & 3) !== 0) {
      new DataView(this.four.buffer).setInt32(0, value, true);
      return this.copyoutFast(pm, va, this.four, 0, 4) === 4;
    }
    const at = this.translate(pm, va, PROT_WRITE);
    if (at < 0) return false;
    this.i32[at >>> 2] = value;
    this.mem.touched(at, 4);
    return true;
  }

  /** Result of load32. */
  word = 0;
  private readonly four = new Uint8Array(4);

  private takeFour(): true {
    this.word = new DataView(this.four.buffer).getInt32(0, true);
    return true;
  }
}
