// The kernel functions that a sleeping thread is in the middle of, from the sleep outward.
//
// Generators know who called them only while they run. So the thread is asked from within its sleep (KContext.askSleeper), and the host's
// stack is read there:  question, answer, sleep ─► the chain: what called sleep, what called that, … ─► askSleeper
//
// Names and places are the host's: of the sources where it knows a source map, else of the bundle.
import type { KContext, KThread } from "../lib/kthread.ts";

/** A function that waits for one further in. */
export interface KernelFrame {
  readonly name: string;
  /** file:line, or "". */
  readonly place: string;
}

const STACK_LINES_MAX = 100, BEGIN = /\bsleep$/, END = /\baskSleeper$/;

/** => innermost first; none when the thread does not sleep, or the host has no stacks that can be read */
export function sleepChain(ctx: KContext, t: KThread): KernelFrame[] {
  if (t.sleep === null || t.coroutine === null) return [];
  const host = Error as { stackTraceLimit?: number }, before = host.stackTraceLimit;
  let stack = "";
  host.stackTraceLimit = STACK_LINES_MAX;
  try {
    ctx.askSleeper(t, () => {
      stack = new Error().stack ?? "";
    });
  } finally {
    if (before === undefined) delete host.stackTraceLimit;
    else host.stackTraceLimit = before;
  }
  return chainOf(stack);
}

/** The frames between the sleep and the question. */
export function chainOf(stack: string): KernelFrame[] {
  const frames = stack.split("\n").map(frameOf).filter((f) => f !== null), begin = frames.findIndex((f) => BEGIN.test(f.name));
  const end = frames.findIndex((f) => END.test(f.name));
  return begin < 0 || end < begin ? [] : frames.slice(begin + 1, end).filter((f) => f.place !== "");
}

/** A line of a stack: V8's "at name (place)", or the other engines' "name@place". What resumes a generator has no place. */
function frameOf(line: string): KernelFrame | null {
  const m = /^\s*at (?:new |async )?(.+?) \((.*)\)$/.exec(line) ?? /^([^@]*)@(.*)$/.exec(line.trim());
  return m === null ? null : { name: m[1]!.replace(/ \[as .*\]$|^Object\./g, ""), place: placeOf(m[2]!) };
}

function placeOf(url: string): string {
  const m = /([^/\\]+(?:[/\\][^/\\]+)?):(\d+):\d+$/.exec(url);
  return m === null ? "" : `${m[1]!.replace("\\", "/")}:${m[2]!}`;
}
