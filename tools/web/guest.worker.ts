// The Worker of the page: the machine and the kernel, off the page's own thread. There, modules may be compiled at once,
// and a busy guest does not hold the page up.
import { GuestRun } from "./guest.ts";
import type { Boot, ToPage, ToWorker } from "./protocol.ts";

/** What this file uses of the Worker's global scope. */
interface WorkerScope {
  postMessage(message: ToPage, transfer?: Transferable[]): void;
  onmessage: ((event: { readonly data: ToWorker }) => void) | null;
}
const scope = globalThis as unknown as WorkerScope;

/** How often the page hears how far we are. */
const PROGRESS_MS = 500;

/** The root disk, unpacked by the host: gzip is what every browser can. */
async function fetchDisk(url: string): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok || response.body === null) throw new Error(`the root disk ${url} cannot be loaded: ${response.status} ${response.statusText}`);
  return new Uint8Array(await new Response(response.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

async function serve(boot: Boot, ready: (guest: GuestRun) => void): Promise<void> {
  const guest = new GuestRun(boot, await fetchDisk(boot.diskUrl), (stream, bytes) => scope.postMessage({ type: "output", stream, bytes }, [bytes.buffer]));
  ready(guest);
  const telling = setInterval(() => scope.postMessage(guest.progress()), PROGRESS_MS);
  try {
    scope.postMessage(await guest.run());
  } finally {
    clearInterval(telling);
  }
}

function listen(): void {
  let guest: GuestRun | null = null;
  const early: Uint8Array[] = [];
  const ready = (made: GuestRun): void => {
    guest = made;
    for (const bytes of early.splice(0)) made.input(bytes);
  };
  scope.onmessage = ({ data }) => {
    if (data.type === "input") return void (guest === null ? early.push(data.bytes) : guest.input(data.bytes));
    serve(data, ready).catch((e: unknown) => scope.postMessage({ type: "failure", message: e instanceof Error ? `${e.message}\n${e.stack ?? ""}` : String(e) }));
  };
}

listen();
