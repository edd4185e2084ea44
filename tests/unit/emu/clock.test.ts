// The virtual clock, mtime and its comparators, the CLINT.
import { Clint } from "../../../emu/dev/clint.ts";
import { VirtualClock } from "../../../emu/time/clock.ts";
import { Timebase } from "../../../emu/time/timebase.ts";
import { assert, suite } from "../../helpers/suite.ts";

const test = suite("clock");

function fixture() {
  const counter = { instret: 0 }, clock = new VirtualClock(counter), timebase = new Timebase(clock);
  const lines = { software: false, timer: false };
  const clint = new Clint(timebase, (level) => (lines.software = level), (level) => (lines.timer = level));
  return { counter, clock, timebase, clint, lines };
}

test("alarms fire in order of time, and of setting when times are equal", () => {
  const { counter, clock } = fixture(), fired: string[] = [];
  clock.alarm(() => fired.push("late")).set(30);
  clock.alarm(() => fired.push("first")).set(10);
  clock.alarm(() => fired.push("second")).set(10);
  assert.is(clock.insnsUntil(clock.nextAlarm()), 10);
  counter.instret = 9;
  clock.fire();
  assert.equal(fired, []);
  counter.instret = 10;
  clock.fire();
  assert.equal(fired, ["first", "second"]);
  assert.is(clock.nextAlarm(), 30);
});

test("instructions that take a part of a nanosecond bring alarms later, never early", () => {
  const { counter, clock } = fixture();
  clock.nsPerInsn = 1 / 16;
  let fired = 0;
  clock.alarm(() => fired++).set(10.5);
  assert.is(clock.insnsUntil(clock.nextAlarm()), 168);
  counter.instret = 167;
  clock.fire();
  assert.is(fired, 0);
  counter.instret = 168;
  clock.fire();
  assert.is(fired, 1);
});

test("an alarm that becomes the earliest says so", () => {
  const { clock } = fixture();
  let earlier = 0;
  clock.onEarlier = () => earlier++;
  const a = clock.alarm(() => {}), b = clock.alarm(() => {});
  a.set(100);
  b.set(200);
  assert.is(earlier, 1);
  b.set(50);
  assert.is(earlier, 2);
  b.cancel();
  assert.is(clock.nextAlarm(), 100);
});

test("an alarm may arm itself again while it fires", () => {
  const { counter, clock } = fixture();
  let ticks = 0;
  const tick = clock.alarm(() => { ticks++; tick.set(clock.now + 5); });
  tick.set(5);
  for (counter.instret = 0; counter.instret <= 20; counter.instret++) clock.fire();
  assert.is(ticks, 4);
});

test("skipping stops at the next alarm and counts as time", () => {
  const { clock, timebase } = fixture();
  let fired = false;
  clock.alarm(() => (fired = true)).set(1000);
  clock.skipTo(5000);
  assert.is(clock.now, 1000);
  assert.ok(fired);
  assert.is(timebase.mtime(), 10);
});

test("mtimecmp raises its line at the exact nanosecond, and a later value lowers it", () => {
  const { counter, clock, clint, lines } = fixture();
  clint.write(0x4004, 4, 0);
  clint.write(0x4000, 4, 7);
  assert.is(clock.nextAlarm(), 700);
  counter.instret = 699;
  clock.fire();
  assert.is(lines.timer, false);
  counter.instret = 700;
  clock.fire();
  assert.is(lines.timer, true);
  clint.write(0x4000, 4, 8);
  assert.is(lines.timer, false);
  clint.write(0x4000, 4, 0);
  assert.is(lines.timer, true);
});

test("a write to mtime moves the comparison", () => {
  const { clint, lines, timebase } = fixture();
  clint.write(0x4004, 4, 1);
  clint.write(0x4000, 4, 5);
  clint.write(0xbff8, 4, 4);
  clint.write(0xbffc, 4, 1);
  assert.is(timebase.mtime(), 0x1_0000_0004);
  assert.is(clint.read(0xbffc, 4), 1);
  assert.is(lines.timer, false);
  clint.write(0xbff8, 4, 5);
  assert.is(lines.timer, true);
});

test("mtimecmp of all ones never fires", () => {
  const { clock, clint } = fixture();
  clint.write(0x4000, 4, 0xffffffff);
  clint.write(0x4004, 4, 0xffffffff);
  assert.is(clock.nextAlarm(), Infinity);
});

test("msip drives the software line by its bit 0", () => {
  const { clint, lines } = fixture();
  clint.write(0, 4, 0xffffffff);
  assert.is(clint.read(0, 4), 1);
  assert.is(lines.software, true);
  clint.write(0, 4, 2);
  assert.is(lines.software, false);
  clint.write(4, 4, 1);
  assert.is(clint.read(4, 4), 0, "there is no hart 1");
});

test.run();
