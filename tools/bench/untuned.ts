// Programs that nobody here compiled, wrote or looked at: Debian's busybox at work on 16 MiB of text.
import { readFileSync } from "node:fs";
import { debianBusybox } from "../debian.ts";
import type { BenchFile } from "./rivals.ts";

const TEXT_BYTES = 16 << 20, WORDS = 5000;

/** Scripts of Debian's shell by row; each prints a checksum of what it made. */
const SCRIPTS: Readonly<Record<string, string>> = {
  gzip: "busybox gzip -c /bench/text >/tmp/out; busybox md5sum </tmp/out; rm /tmp/out",
  bzip2: "busybox bzip2 -c /bench/text >/tmp/out; busybox md5sum </tmp/out; rm /tmp/out",
  sha512sum: "busybox sha512sum /bench/text",
  sort: "busybox sort /bench/text | busybox md5sum",
  awk: "busybox awk '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) s += n[w] * length(w); print s }' /bench/text",
};

export const UNTUNED: readonly string[] = Object.keys(SCRIPTS);

/** Text of made-up words, some much more frequent than others, in lines; the same each time. */
function text(): Uint8Array {
  const out = new Uint8Array(TEXT_BYTES), words: Uint8Array[] = [];
  let seed = 20240229, at = 0;
  const below = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 4294967296) * n);
  };
  for (let i = 0; i < WORDS; i++) words.push(Uint8Array.from({ length: 2 + below(9) }, () => 97 + below(26)));
  for (let inLine = 0; at < TEXT_BYTES - 16; inLine = (inLine + 1) % 12) {
    const word = words[Math.min(below(WORDS), below(WORDS), below(WORDS))]!;
    out.set(word, at);
    at += word.length;
    out[at++] = inLine === 11 ? 10 : 32;
  }
  return out.fill(10, at);
}

/** What the rows need, and the suite's line of each. => or why there are none */
export function untuned(root: string, suite: string): { files: BenchFile[]; line: (row: string) => string } | { reason: string } {
  const busybox = debianBusybox(root, suite);
  if ("reason" in busybox) return busybox;
  const scripts = Object.entries(SCRIPTS).map(([name, script]) => ({ name: `${name}.sh`, data: new TextEncoder().encode(`busybox() { /bench/busybox "$@"; }\n${script}\n`) }));
  return { files: [{ name: "busybox", data: readFileSync(busybox.path) }, { name: "text", data: text() }, ...scripts], line: (row) => `/bench/busybox sh /bench/${row}.sh` };
}
