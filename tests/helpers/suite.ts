// The one way tests are declared: uvu's suite, plus a skip that must say why.
import { suite as uvuSuite, type Callback } from "uvu";
export * as assert from "uvu/assert";

/** A uvu suite. `test("a sentence", fn)`, `test.skipBecause(why, "a sentence", fn)`, then `test.run()`. */
export function suite(name: string) {
  const inner = uvuSuite(name);
  const add = (title: string, fn: Callback) => inner(title, fn);
  return Object.assign(add, {
    before: inner.before, after: inner.after, run: () => inner.run(),
    /** Runs the test when `why` is empty; otherwise records a skip and prints the reason. */
    skipBecause(why: string, title: string, fn: Callback) {
      if (!why) return void inner(title, fn);
      console.log(`skip: ${name}: ${title}: ${why}`);
      inner.skip(title, fn);
    },
  });
}
