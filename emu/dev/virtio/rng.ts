// virtio-rng: random bytes, from the machine's seed, so that a run repeats.
import { Prng } from "../prng.ts";
import type { Alarm } from "../../time/clock.ts";
import type { VirtioFunction, VirtioPort } from "./mmio.ts";

const LATENCY_NS = 1_000;
/** Bytes given for one request; drivers ask again. */
const REQUEST_BYTES_MAX = 65536;

export class VirtioRng implements VirtioFunction {
  readonly name = "virtio-rng";
  readonly deviceId = 4;
  readonly queueCount = 1;
  readonly features = 0;
  readonly config = new Uint8Array(0);
  private readonly prng: Prng;
  private port!: VirtioPort;
  private alarm!: Alarm;

  constructor(seed: number) {
    this.prng = new Prng(seed);
  }

  attach(port: VirtioPort): void {
    this.port = port;
    this.alarm = port.clock.alarm(() => this.serve());
  }

  notify(_queueIndex: number): void {
    if (this.alarm.atNs === Infinity) this.alarm.set(this.port.clock.now + LATENCY_NS);
  }

  reset(): void {
    this.alarm.cancel();
  }

  private serve(): void {
    const queue = this.port.queue(0);
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      if (chain.readableBytes > 0 || chain.writableBytes === 0) return queue.fail("random bytes into a readable buffer");
      const len = Math.min(chain.writableBytes, REQUEST_BYTES_MAX);
      chain.eachWritable(0, len, (bytes) => this.prng.fill(bytes));
      queue.push(chain, len);
    }
    this.port.announce(queue);
  }
}
