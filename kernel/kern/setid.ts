// Set-user-ID and set-group-ID programs: whose rights they run with, and when a file loses the bits.
import type { KGen } from "../lib/kthread.ts";
import { MNT_NOSUID } from "../vfs/mount.ts";
import { VREG, type Vnode } from "../vfs/vnode.ts";
import { CAP_FSETID } from "./caps.ts";
import type { Cred } from "./cred.ts";
import type { Process } from "./proc.ts";

export const S_ISUID = 0o4000, S_ISGID = 0o2000, S_IXGRP = 0o010;

/** Set-group-ID without execution for the group is no set-id bit: it once meant mandatory locks. */
const setsGroup = (mode: number): boolean => (mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP);

/**
 * Credentials of a process that begins a program: the file's ids where its bits say so, and effective ids kept as saved.
 * Not on a file system mounted nosuid, nor once the process said PR_SET_NO_NEW_PRIVS.
 */
export function credOfProgram(p: Process, program: Vnode): Cred {
  const { cred } = p, { mode, uid, gid } = program.getattr(), isIgnored = (program.mount.flags & MNT_NOSUID) !== 0 || p.noNewPrivs;
  const euid = !isIgnored && (mode & S_ISUID) !== 0 ? uid : cred.euid, egid = !isIgnored && setsGroup(mode) ? gid : cred.egid;
  return cred.with({ euid, suid: euid, egid, sgid: egid }).forExec();
}

/** Has a program more rights than who called it? The C library then believes no environment (AT_SECURE). */
export const isSecure = (c: Cred): boolean => c.uid !== c.euid || c.gid !== c.egid;

/** The bits of a mode that make a program of it whose rights are not its caller's. */
export const setIdBits = (mode: number): number => (mode & S_ISUID) | (setsGroup(mode) ? S_ISGID : 0);

/** Bits that a file loses when somebody without CAP_FSETID writes to it or cuts it. */
export function lostBits(cred: Cred, v: Vnode): number {
  if (v.type !== VREG) return 0;
  const bits = setIdBits(v.getattr().mode);
  return bits === 0 || cred.can(CAP_FSETID) ? 0 : bits;
}

/** Takes the bits from a file that changed. */
export function* stripSetId(cred: Cred, v: Vnode): KGen<void> {
  const lost = lostBits(cred, v);
  if (lost !== 0) yield* v.setattr({ mode: v.getattr().mode & 0o7777 & ~lost });
}
