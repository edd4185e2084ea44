// The interrupt controller: gateways, priorities, thresholds, claim and completion.
import { Plic } from "../../../emu/dev/plic.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("plic");
const ENABLE_M = 0x2000, ENABLE_S = 0x2080, CLAIM_M = 0x200004, THRESHOLD_S = 0x201000, CLAIM_S = 0x201004;

function fixture() {
  const pins = [false, false];
  const plic = new Plic([(level) => (pins[0] = level), (level) => (pins[1] = level)]);
  return { plic, pins };
}

test("a source with priority 0, or not enabled, or not above the threshold, does not interrupt", () => {
  const { plic, pins } = fixture();
  plic.setLevel(10, true);
  assert.equal(pins, [false, false]);
  plic.write(ENABLE_S, 4, 1 << 10);
  assert.equal(pins, [false, false]);
  plic.write(4 * 10, 4, 2);
  assert.equal(pins, [false, true]);
  plic.write(THRESHOLD_S, 4, 2);
  assert.equal(pins, [false, false]);
  plic.write(THRESHOLD_S, 4, 1);
  assert.equal(pins, [false, true]);
});

test("contexts are enabled one by one", () => {
  const { plic, pins } = fixture();
  plic.write(4, 4, 1);
  plic.write(ENABLE_M, 4, 2);
  plic.setLevel(1, true);
  assert.equal(pins, [true, false]);
  assert.is(plic.read(CLAIM_S, 4), 0);
  assert.is(plic.read(CLAIM_M, 4), 1);
});

test("a claim takes the highest priority, then the lowest number", () => {
  const { plic, pins } = fixture();
  for (const [source, priority] of [[3, 1], [40, 5], [41, 5]] as const) plic.write(4 * source, 4, priority);
  plic.write(ENABLE_S, 4, 1 << 3);
  plic.write(ENABLE_S + 4, 4, (1 << 8) | (1 << 9));
  for (const source of [3, 41, 40]) plic.setLevel(source, true);
  assert.is(plic.read(0x1004, 4), (1 << 8) | (1 << 9));
  assert.is(plic.read(CLAIM_S, 4), 40);
  assert.is(plic.read(CLAIM_S, 4), 41);
  assert.is(plic.read(CLAIM_S, 4), 3);
  assert.is(plic.read(CLAIM_S, 4), 0);
  assert.equal(pins, [false, false]);
});

test("a wire that stays high asks again when its device drives it anew, not by completion alone; a drop takes the request back", () => {
  const { plic, pins } = fixture();
  plic.write(4 * 10, 4, 1);
  plic.write(ENABLE_S, 4, 1 << 10);
  plic.setLevel(10, true);
  assert.is(plic.read(CLAIM_S, 4), 10);
  plic.write(CLAIM_S, 4, 10);
  assert.equal(pins, [false, false], "a driver that leaves the request standing is not interrupted without end");
  plic.setLevel(10, true);
  assert.equal(pins, [false, true]);
  plic.setLevel(10, false);
  assert.equal(pins, [false, false]);
});

test("completing a source that the context has not enabled is ignored", () => {
  const { plic } = fixture();
  plic.write(4 * 5, 4, 1);
  plic.write(ENABLE_S, 4, 1 << 5);
  plic.setLevel(5, true);
  assert.is(plic.read(CLAIM_S, 4), 5);
  plic.write(CLAIM_M, 4, 5);
  plic.setLevel(5, true);
  assert.is(plic.read(CLAIM_S, 4), 0);
  plic.write(CLAIM_S, 4, 5);
  plic.setLevel(5, true);
  assert.is(plic.read(CLAIM_S, 4), 5);
});

test("a wire that rises while its source is claimed asks once more after completion, not before", () => {
  const { plic, pins } = fixture();
  plic.write(4 * 5, 4, 1);
  plic.write(ENABLE_S, 4, 1 << 5);
  plic.setLevel(5, true);
  plic.read(CLAIM_S, 4);
  plic.setLevel(5, false);
  plic.setLevel(5, true);
  assert.is(pins[1], false);
  plic.write(CLAIM_S, 4, 5);
  assert.is(pins[1], true);
});

test("source 0 and registers beyond the sources do not exist", () => {
  const { plic } = fixture();
  plic.write(0, 4, 7);
  plic.write(ENABLE_S, 4, 0xffffffff);
  plic.write(ENABLE_S + 0x40, 4, 0xffffffff);
  assert.is(plic.read(0, 4), 0);
  assert.is(plic.read(ENABLE_S, 4), 0xfffffffe);
  assert.is(plic.read(ENABLE_S + 0x40, 4), 0);
  assert.is(plic.read(0x300000, 4), 0);
  plic.write(4 * 7, 4, 0xff);
  assert.is(plic.read(4 * 7, 4), 7);
});

test.run();
