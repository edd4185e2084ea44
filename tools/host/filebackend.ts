// A disk in a file of the host. Written only when it was opened for writing, which only --rw asks for.
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import type { BlockBackend } from "../../emu/dev/device.ts";

export class FileBackend implements BlockBackend {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  private readonly fd: number;

  /** => throws the host's error when the file cannot be opened */
  constructor(path: string, options: { writable: boolean }) {
    this.fd = openSync(path, options.writable ? "r+" : "r");
    this.readOnly = !options.writable;
    this.sizeBytes = fstatSync(this.fd).size;
  }

  read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const got = readSync(this.fd, into, done, into.length - done, offset + done);
      // The file became shorter under us: of a disk the guest sees an I/O error.
      if (got === 0) throw new Error(`the file now ends at byte ${offset + done}`);
      done += got;
    }
  }

  write(offset: number, from: Uint8Array): void {
    if (this.readOnly) throw new Error("the disk's file was opened for reading");
    for (let done = 0; done < from.length; ) done += writeSync(this.fd, from, done, from.length - done, offset + done);
  }

  flush(): void {
    if (!this.readOnly) fsyncSync(this.fd);
  }

  close(): void {
    this.flush();
    closeSync(this.fd);
  }
}
