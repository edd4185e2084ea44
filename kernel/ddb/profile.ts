// Where the guest spends its time: the pc whenever a slice of the session ends, which is after so many instructions, whatever
// the program does. Costs nothing in between, and a look at one map per sample.
import type { Kernel } from "../kernel.ts";
import type { Vnode } from "../vfs/vnode.ts";
import type { Symbols } from "./symbols.ts";

/** Places told apart; samples of others are counted together. */
const PLACES_MAX = 50_000;

export interface HotPlace { readonly name: string; readonly file: string; readonly samples: number }

export class Profile {
  /** User code ran when a slice ended. */
  samples = 0;
  /** Of these: a translated region reached over the pc. */
  translated = 0;
  private readonly kernel: Kernel;
  private readonly symbols: Symbols;
  /** By file and offset of the pc in it. */
  private readonly places = new Map<Vnode, Map<number, number>>();
  private placeCount = 0;
  /** Code that is mapped from no file, and what found no room above. */
  private elsewhere = 0;

  constructor(kernel: Kernel, symbols: Symbols) {
    this.kernel = kernel;
    this.symbols = symbols;
  }

  /** Notes where the guest is. => a slice of instructions was just used up */
  sample(): void {
    const { sched } = this.kernel.kern, { hart } = this.kernel.machine, t = sched.loaded;
    if (t === null || t.isDead || t.coroutine !== null) return;
    const { pc } = hart, at = this.symbols.place(t.proc, pc);
    this.samples++;
    if (hart.engine?.covers(pc)) this.translated++;
    let of = at === null ? undefined : this.places.get(at.vnode);
    if (at !== null && of === undefined) this.places.set(at.vnode, (of = new Map<number, number>()));
    const before = at === null ? undefined : of?.get(at.offset);
    if (at === null || of === undefined || (before === undefined && this.placeCount >= PLACES_MAX)) this.elsewhere++;
    else {
      if (before === undefined) this.placeCount++;
      of.set(at.offset, (before ?? 0) + 1);
    }
  }

  /** Functions by how often they were met, most often first; places without symbols by their page. */
  hottest(most: number): HotPlace[] {
    const byName = new Map<string, { name: string; file: string; samples: number }>(), { kern } = this.kernel;
    for (const [vnode, offsets] of this.places) {
      const file = kern.pathOfVnode(vnode);
      for (const [offset, n] of offsets) {
        const s = this.symbols.symbolAt({ vnode, offset }), name = s?.name ?? this.symbols.placeName({ vnode, offset: Math.floor(offset / 4096) * 4096 });
        const one = byName.get(`${file} ${name}`) ?? { name, file, samples: 0 };
        one.samples += n;
        byName.set(`${file} ${name}`, one);
      }
    }
    if (this.elsewhere > 0) byName.set("", { name: "elsewhere", file: "-", samples: this.elsewhere });
    return [...byName.values()].sort((a, b) => b.samples - a.samples).slice(0, most);
  }
}
