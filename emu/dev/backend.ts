// Disks that live in memory, and the overlay that keeps changes away from the disk below it.
import type { BlockBackend } from "./device.ts";

/** A disk in an array. The array is the disk: writes change it. */
export class MemoryBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, options: { readOnly?: boolean } = {}) {
    this.bytes = bytes;
    this.sizeBytes = bytes.length;
    this.readOnly = options.readOnly ?? false;
  }

  read(offset: number, into: Uint8Array): void {
    into.set(this.bytes.subarray(offset, offset + into.length));
  }

  write(offset: number, from: Uint8Array): void {
    this.bytes.set(from, offset);
  }

  flush(): void {}

  discard(offset: number, lenBytes: number): void {
    this.bytes.fill(0, offset, offset + lenBytes);
  }
}

const CLUSTER = 4096;

/**
 * A writable disk over one that is only read: the default for every drive, so that nothing on the host changes.
 * A cluster of 4 KiB is copied up when it is first written; clusters never written are read from below.
 */
export class OverlayBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly = false;
  private readonly below: BlockBackend;
  /** Cluster number to its bytes. */
  private readonly changed = new Map<number, Uint8Array>();

  constructor(below: BlockBackend) {
    this.below = below;
    this.sizeBytes = below.sizeBytes;
  }

  /** Bytes held by changed clusters. */
  get changedBytes(): number {
    return this.changed.size * CLUSTER;
  }

  read(offset: number, into: Uint8Array): void {
    const end = offset + into.length;
    let at = offset;
    while (at < end) {
      const cluster = Math.floor(at / CLUSTER), copy = this.changed.get(cluster);
      let next = Math.min(end, (cluster + 1) * CLUSTER);
      if (copy !== undefined) {
        into.set(copy.subarray(at - cluster * CLUSTER, next - cluster * CLUSTER), at - offset);
      } else {
        // One read below for a whole run of unchanged clusters.
        while (next < end && !this.changed.has(next / CLUSTER)) next = Math.min(end, next + CLUSTER);
        this.below.read(at, into.subarray(at - offset, next - offset));
      }
      at = next;
    }
  }

  write(offset: number, from: Uint8Array): void {
    const end = offset + from.length;
    for (let at = offset; at < end; ) {
      const cluster = Math.floor(at / CLUSTER), start = cluster * CLUSTER, next = Math.min(end, start + CLUSTER);
      const copy = this.changed.get(cluster) ?? this.copyUp(cluster, next - at < CLUSTER);
      copy.set(from.subarray(at - offset, next - offset), at - start);
      at = next;
    }
  }

  flush(): void {}

  private copyUp(cluster: number, fill: boolean): Uint8Array {
    const copy = new Uint8Array(CLUSTER), start = cluster * CLUSTER;
    if (fill) this.below.read(start, copy.subarray(0, Math.min(CLUSTER, this.sizeBytes - start)));
    this.changed.set(cluster, copy);
    return copy;
  }
}
