// The console as a person has it: a shell with job control, keys that send signals.
import { MemoryBackend, OverlayBackend } from "../../emu/dev/backend.ts";
import { Machine } from "../../emu/machine.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { rootImage } from "../helpers/guest.ts";
import { assert, suite } from "../helpers/suite.ts";

const test = suite("terminal");

/** A person at the console: types when the screen shows what is waited for. */
class Person {
  screen = "";
  private readonly keys: number[] = [];
  private readonly stream = {
    read: (into: Uint8Array): number => {
      const n = Math.min(into.length, this.keys.length);
      into.set(this.keys.splice(0, n));
      return n;
    },
    write: (b: Uint8Array) => void (this.screen += String.fromCharCode(...b)),
    onReadable: () => {},
  };
  private readonly kernel: Kernel;

  constructor() {
    const machine = new Machine({
      ramBytes: 64 << 20, hosted: true, drives: [new OverlayBackend(new MemoryBackend(rootImage(), { readOnly: true }))], console: this.stream, epochSeconds: 1_800_000_000,
    });
    this.kernel = new Kernel(machine, { init: ["/sbin/init"] });
  }

  /** Runs until the screen from `from` on matches. */
  sees(pattern: RegExp): void {
    for (let i = 0; i < 400; i++) {
      this.kernel.run(1_000_000);
      if (this.kernel.panicked) throw this.kernel.panicked;
      if (pattern.test(this.screen)) return;
    }
    assert.ok(false, `not seen: ${pattern}\n${this.screen}`);
  }

  /** A person is slow: what was typed before is under way by then. */
  types(text: string): void {
    for (let i = 0; i < 20; i++) this.kernel.run(1_000_000);
    this.screen = "";
    this.keys.push(...[...text].map((c) => c.charCodeAt(0)));
    this.stream.onReadable();
  }
}

test("a shell with job control", () => {
  const p = new Person();
  p.sees(/\$ $/);
  assert.not.match(p.screen, /no job control/);
  p.types("echo hel\x7f\x7fi\r");
  p.sees(/\r\nhi\r\n\$ $/);
  p.types("yes > /dev/null\r");
  p.sees(/yes > .dev.null\r\n/);
  p.types("\x1a");
  p.sees(/Stopped\s+yes\r\n\$ $/);
  p.types("bg; jobs\r");
  p.sees(/Running\s+yes\r\n\$ $/);
  p.types("fg\r");
  p.sees(/yes\r\n$/);
  p.types("\x03");
  p.sees(/\$ $/);
  p.types("echo $?\r");
  p.sees(/\r\n130\r\n\$ $/);
});

test.run();
