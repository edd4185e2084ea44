// Time in a session: a guest that waits does not run ahead of the host.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("pace"), SECOND_NS = 1e9;

test("a kernel that waits is idle at the limit of time, and says until when", () => {
  const silent = { read: () => 0, write: () => {} };
  const machine = new Machine({
    ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: silent, ports: [silent, silent],
    bootargs: "stdio=ports", epochSeconds: 1_800_000_000,
  });
  const kernel = new Kernel(machine, { init: ["/sbin/init", "-c", "sleep 1000"] });
  while (kernel.run(1_000_000, SECOND_NS) === "budget") assert.ok(machine.hart.instret < 1e8, "it comes to rest");
  assert.ok(machine.clock.now < SECOND_NS, "time stands where the last work was done");
  const wakes = kernel.nextEventNs();
  assert.ok(wakes > 1000 * SECOND_NS && wakes < 1001 * SECOND_NS, `sleep ends at ${wakes}`);
  assert.is(kernel.run(1_000_000, SECOND_NS), "idle");
  for (let why = "budget"; why !== "halted"; why = kernel.run(1_000_000)) assert.ok(machine.hart.instret < 1e8, "without a limit it ends at once");
  assert.ok(machine.clock.now >= 1000 * SECOND_NS);
});

test.run();
