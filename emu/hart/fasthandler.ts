// Handlers of the fast function: no calls. What needs TypeScript goes to $cold with nothing done yet.
import type { V } from "../isa/builder.ts";
import { I32, type MemoryOp, sizeOf } from "../jit/wasm.ts";
import { KIND_STORE } from "./cold.ts";
import { Handler, TO_COLD } from "./handler.ts";
import { TAG_WRITE } from "./layout.ts";

export class FastHandler extends Handler {
  protected translate(addr: V, size: number, _kind: number, tag: number): number {
    const at = this.takeLook(), place = this.pool.take(I32);
    this.look(addr, size, tag, at);
    this.e.op("i32.eqz");
    this.e.hint(false);
    this.e.brIf(this.depth + TO_COLD);
    this.hit(at);
    this.e.set(place);
    return place;
  }

  store(op: MemoryOp, addr: V, value: V): void {
    const place = this.translate(addr, sizeOf(op), KIND_STORE, TAG_WRITE);
    this.e.get(place);
    this.put(value);
    this.e.mem(op, 0);
  }

  private cold(): void {
    this.colds++;
    this.to(TO_COLD);
  }

  protected raise(): void { this.cold(); }
  illegal(): void { this.cold(); }
  coldFloat(): void { this.cold(); }
  system(): void { this.leave(); }
  decode(): void { this.leave(); }
  cross(): void { this.leave(); }
  enter(): void { this.leave(); }

  private leave(): void {
    this.cold();
    if (this.nested === 0) this.ended = true;
  }
}
