// Switches of V8 that the engine gains by. Set before the first WebAssembly module is made; a browser runs without them.
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

/** What a stack must have for code that does not look at its end: translated calls nest 400 deep, in frames of some KiB at most. */
const STACK_BYTES = 8 << 20;

/** Whether the host's stack, for which V8 wants to know only a small part, is known to be as large as that. */
function hasDeepStack(): boolean {
  try {
    const soft = /^Max stack size\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    return soft === "unlimited" || Number(soft) >= STACK_BYTES;
  } catch {
    return false;
  }
}

/** Sets a switch, unless Node was started with its opposite. */
function set(name: string): void {
  const opposite = name.startsWith("no-") ? name.slice(3) : `no-${name}`;
  if (!process.execArgv.includes(`--${opposite}`)) setFlagsFromString(`--${name}`);
}

/**
 * V8 optimizes the interpreter and each translation at once, beside the guest: they are hot from the beginning. Else it counts jumps by
 * their length, and the interpreter's loop is so long that its quick code asked every twenty guest instructions whether it may be
 * optimized (Linux' boot takes 3 % less). Branch hints keep slow paths out of the way; relaxed SIMD has the fused multiply-add; without
 * a look at the stack at every turn of a loop and every call, code is 2 to 12 % faster. Unknown switches are only ignored.
 */
export function tuneV8(): void {
  const [major = 0] = process.versions.node.split(".").map(Number);
  set("no-wasm-dynamic-tiering");
  set("experimental-wasm-branch-hinting");
  if (major < 22) set("experimental-wasm-relaxed-simd");
  if (hasDeepStack()) set("no-wasm-stack-checks");
}
