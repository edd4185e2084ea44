// The pages of an object by number, against a Map: dense, sparse and far numbers, and removal while it is walked.
import fc from "fast-check";
import { PageTree } from "../../kernel/uvm/pagetree.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("pagetree");
const sorted = (pages: Iterable<readonly [number, number]>): (readonly [number, number])[] => [...pages].sort((a, b) => a[0] - b[0]);

test("holds what a map would", () => {
  const index = fc.oneof(fc.nat(200), fc.nat(100_000), fc.integer({ min: 2 ** 40, max: 2 ** 40 + 100 }));
  fc.assert(fc.property(fc.array(fc.tuple(index, fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.boolean()), { maxLength: 300 }), (steps) => {
    const tree = new PageTree(), model = new Map<number, number>();
    for (const [i, pg, wantsIt] of steps) {
      assert.is(tree.get(i), model.get(i) ?? 0);
      assert.is(tree.has(i), model.has(i));
      if (model.has(i) && !wantsIt) {
        tree.remove(i);
        model.delete(i);
      } else if (!model.has(i) && wantsIt) {
        tree.insert(i, pg);
        model.set(i, pg);
      }
      assert.is(tree.size, model.size);
    }
    assert.equal(sorted(tree), sorted(model));
  }));
});

test("pages may go while it is walked, leaves included", () => {
  const tree = new PageTree(), seen: number[] = [];
  for (const i of [0, 1, 63, 64, 1000, 1001]) tree.insert(i, i + 7);
  for (const [i, pg] of tree) {
    assert.is(pg, i + 7);
    seen.push(i);
    tree.remove(i);
  }
  assert.equal([seen, tree.size, [...tree], tree.get(63)], [[0, 1, 63, 64, 1000, 1001], 0, [], 0]);
});

test.run();
