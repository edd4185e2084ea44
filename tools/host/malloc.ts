// glibc gives the top of its heap back to the host as soon as 128 KiB are free there, and V8's compilers free and want that much at each
// function: Linux' boot had up to 16,000 of its 56,000 page faults from this. Once a piece that was mapped by itself is freed, glibc keeps
// twice its size, by its own rule for programs that come and go with large pieces. Costs up to 18 MiB; other allocators do not mind.

const PIECE_BYTES = 16 << 20;

/** Makes malloc keep what is freed. A piece of zeros that nobody touches takes no memory; V8 frees it when it collects next. */
export function keepFreedMemory(): void {
  new ArrayBuffer(PIECE_BYTES);
}
