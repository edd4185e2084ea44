// Switches of V8 that the engine gains by. Set before the first WebAssembly module is made; a browser runs without them.
import { setFlagsFromString } from "node:v8";

/** Branch hints keep slow paths out of the way; relaxed SIMD has the fused multiply-add. Unknown switches are only ignored. */
export function tuneV8(): void {
  const [major = 0] = process.versions.node.split(".").map(Number);
  setFlagsFromString("--experimental-wasm-branch-hinting");
  if (major < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
}
