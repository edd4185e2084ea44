// Options of a tmpfs, as mount(2)'s text has them: "size=64m,nr_inodes=1k,mode=1777,uid=0,gid=0".
import { EINVAL } from "../../lib/errno.ts";
import { PAGE_SIZE } from "../../hal/physmem.ts";

/** 0 pages or inodes: no limit. Absent: not said. */
export interface TmpOptions { pages?: number; inodes?: number; mode?: number; uid?: number; gid?: number }

const SUFFIXES = "kmgtpe", MOST_ID = 2 ** 32 - 2;

/** A number in decimal, octal (0…) or hexadecimal (0x…) with a suffix: k is 1024, m 1024 k, … => null: none */
function memparse(text: string): number | null {
  const m = /^(0x[0-9a-f]+|\d+)([kmgtpe]?)$/i.exec(text);
  if (!m) return null;
  const digits = m[1]!, n = /^0[0-7]+$/.test(digits) ? parseInt(digits, 8) : Number(digits);
  return n * 1024 ** (1 + SUFFIXES.indexOf(m[2]!.toLowerCase() || "?"));
}

function setOption(o: TmpOptions, name: string, value: string, memoryPages: number): boolean {
  const isShare = name === "size" && value.endsWith("%"), n = memparse(isShare ? value.slice(0, -1) : value);
  switch (name) {
    case "size":
      if (n === null) return false;
      o.pages = isShare ? Math.floor((n * memoryPages) / 100) : Math.ceil(n / PAGE_SIZE);
      return true;
    case "nr_blocks": case "nr_inodes":
      if (n === null) return false;
      o[name === "nr_blocks" ? "pages" : "inodes"] = n;
      return true;
    case "mode":
      if (!/^[0-7]+$/.test(value)) return false;
      o.mode = parseInt(value, 8) & 0o7777;
      return true;
    case "uid": case "gid":
      if (!/^\d+$/.test(value) || Number(value) > MOST_ID) return false;
      o[name] = Number(value);
      return true;
    default: return false;
  }
}

/** => -EINVAL: an option that tmpfs does not have, or a value that makes no sense */
export function parseTmpOptions(data: string, memoryPages: number): TmpOptions | number {
  const o: TmpOptions = {};
  for (const option of data.split(",")) {
    const at = option.indexOf("=");
    if (option !== "" && (at < 0 || !setOption(o, option.slice(0, at), option.slice(at + 1), memoryPages))) return -EINVAL;
  }
  return o;
}
