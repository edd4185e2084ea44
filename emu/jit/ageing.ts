// Which translations go when a bound is reached: those that were not entered for longest.
//
//   put in place ─► active ──stamps taken──► inactive ──a bound is reached──► dropped
//                     ▲                          │
//                     └── entered: verified again ┘
//
// To take the stamps of its cells away costs translated code nothing: the next entry, be it a jump, a call or the interpreter's,
// has to be verified, as after a fence, and that tells of the use. A region that loops for long is entered again after each
// slice of instructions. What is inactive stays so until many others were built, so it has had its chance.
import type { Translation } from "./translations.ts";

/** Translations are aged when a bound is used so far, and so many of all are inactive then. */
const AGE_FROM = 0.75, INACTIVE_SHARE = 0.25;

export class Ageing {
  /** Both in the order in which they came in. */
  private readonly active = new Set<Translation>();
  private readonly inactive = new Set<Translation>();

  get count(): number {
    return this.active.size + this.inactive.size;
  }

  /** Every translation, in the order in which they would go. */
  *[Symbol.iterator](): Generator<Translation> {
    yield* this.inactive;
    yield* this.active;
  }

  add(t: Translation): void {
    this.active.add(t);
  }

  /** A translation was verified. */
  used(t: Translation): void {
    if (this.inactive.delete(t)) this.active.add(t);
  }

  remove(t: Translation): void {
    if (!this.active.delete(t)) this.inactive.delete(t);
  }

  /** Makes some inactive if the fullest bound is used so far. => unstamp: takes a translation's stamps away */
  age(pressure: number, unstamp: (t: Translation) => void): void {
    if (pressure < AGE_FROM) return;
    let missing = Math.ceil(this.count * INACTIVE_SHARE) - this.inactive.size;
    for (const t of this.active) {
      if (missing-- <= 0) break;
      this.active.delete(t);
      this.inactive.add(t);
      unstamp(t);
    }
  }
}
