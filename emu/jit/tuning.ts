// What the translator does by measurement rather than by necessity, as numbers that can be changed: by tests to make rare
// things common, by the bench to show what each is worth (README.md here has the figures).

export interface Tuning {
  /** Jumps to a place that make it hot, up to HOT_MAX: fewer are interpreted faster than translated. */
  readonly hot: number;
  /** Instructions of the largest region that keeps loops which have regions of their own. */
  readonly whole: number;
  /** Instructions that a branch may skip to become a choice between results; 0: none does. */
  readonly fold: number;
  /** Instructions that the rounds of an unrolled loop may have together; 0: no loop is unrolled. */
  readonly unroll: number;
  /** 1: accesses off steady base registers remember their page in page slots (hart/layout.ts). */
  readonly caches: number;
  /** 1: accesses off one base register in a block share a check. */
  readonly groups: number;
  /** How often a place within a region may become hot before it gets its own. */
  readonly passes: number;
  /** Steps of translation at one return to TypeScript; 0: as many as the guest can wait for. */
  readonly steps: number;
  /** Modules that are live at most. */
  readonly modules: number;
  /** One in so many returns to TypeScript drops a translation, or all of them; 0: none. */
  readonly drop: number;
}

/** Records count jumps in 16 bits. */
const HOT_MAX = 65535;

export const STANDARD: Tuning = { hot: 65000, whole: 128, fold: 3, unroll: 48, caches: 1, groups: 1, passes: 20, steps: 0, modules: 2000, drop: 0 };

/** Reads "hot=300,fold=0". => throws an Error that names the setting */
export function parseTuning(text: string): Partial<Tuning> {
  return Object.fromEntries(text.split(",").map((part) => {
    const [name, value] = part.split("=") as [string, string | undefined];
    if (!Object.hasOwn(STANDARD, name)) throw new Error(`no such setting "${name}"; there are ${Object.keys(STANDARD).join(", ")}`);
    if (value === undefined || !/^\d{1,5}$/.test(value)) throw new Error(`${name} wants a number below 100000, as in ${name}=${STANDARD[name as keyof Tuning]}`);
    if (name === "hot" && Number(value) > HOT_MAX) throw new Error(`hot wants a number up to ${HOT_MAX}`);
    return [name, Number(value)];
  }));
}
