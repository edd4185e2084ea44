// Assertions of the kernel. They are always on: a broken invariant stops the machine at once, with its name.

/** A bug of the kernel. Nothing catches it to go on: the machine stops and ddb opens. */
export class KernelPanic extends Error {
  override name = "KernelPanic";
}

/** Stops the machine unless `cond` holds. `what` says what was expected, and names the object. */
export function KASSERT(cond: unknown, what: string): asserts cond {
  if (!cond) panic(what);
}

/** Stops the machine. */
export function panic(what: string): never {
  throw new KernelPanic(what);
}
