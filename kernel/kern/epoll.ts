// epoll: a standing question about many files.
//
//   file's PollQueue ──notify──► EpollItem ──► Epoll.ready ──wakeup──► epoll_wait (and pollers of the epoll itself)
//
// An item is a PollWaiter that stays in its file's queues. When the file tells of a change the item goes to the list of those that
// may be ready; a wait asks only these. Level-triggered items stay in the list while they are ready, edge-triggered ones leave it
// when they are told, EPOLLONESHOT ones are disabled then. Items hold no reference: a file that closes takes its items along.
import { EEXIST, EINVAL, ELOOP, ENOENT, EPERM } from "../lib/errno.ts";
import type { KContext, KGen } from "../lib/kthread.ts";
import type { Attr } from "../vfs/vnode.ts";
import { anonAttr } from "./anonfile.ts";
import { type FileOps, filePoll, O_RDWR, OpenFile, POLLERR, POLLHUP, POLLIN, POLLOUT, PollQueue, POLLRDNORM, PollWaiter } from "./file.ts";
import type { Kern } from "./kern.ts";

export const EPOLL_CTL_ADD = 1, EPOLL_CTL_DEL = 2, EPOLL_CTL_MOD = 3;
const EPOLLET = 1 << 31, EPOLLONESHOT = 1 << 30, EPOLLWAKEUP = 1 << 29, EPOLLEXCLUSIVE = 1 << 28, FLAGS = EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE;
/** What may be asked with EPOLLEXCLUSIVE. */
const EXCLUSIVE_OK = POLLIN | POLLOUT | POLLERR | POLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;
/** How deep epolls may watch epolls. */
const MAX_NESTS = 4;

/** What the caller asked: event bits with flags, and 64 bits of its own. */
export interface EpollEvent { readonly events: number; readonly lo: number; readonly hi: number }

export class EpollItem extends PollWaiter {
  readonly ep: Epoll;
  readonly file: OpenFile;
  readonly fd: number;
  ask: EpollEvent;
  /** EPOLLONESHOT told once. */
  isDisabled = false;

  constructor(ep: Epoll, file: OpenFile, fd: number, ask: EpollEvent) {
    super();
    this.ep = ep;
    this.file = file;
    this.fd = fd;
    this.ask = ask;
  }

  get events(): number {
    return (this.ask.events & ~FLAGS) | POLLERR | POLLHUP;
  }

  /** What holds now of what is asked; the item stands in the file's queues afterwards. */
  look(): number {
    return this.isDisabled ? 0 : filePoll(this.file, this.events, this) & this.events;
  }

  override get isExclusive(): boolean {
    return (this.ask.events & EPOLLEXCLUSIVE) !== 0;
  }

  override notify(_ctx: KContext, key: number): boolean {
    return !this.isDisabled && (key === 0 || (key & this.events) !== 0) && this.ep.mayBeReady(this);
  }

  /** The file's last reference went. */
  override fileClosed(): void {
    this.ep.remove(this);
  }
}

/** An event that holds, and whose it is. */
export interface Told extends EpollEvent { readonly item: EpollItem }

export class Epoll {
  private readonly ctx: KContext;
  private readonly items = new Map<OpenFile, Map<number, EpollItem>>();
  private readonly ready = new Set<EpollItem>();
  readonly pollers = new PollQueue();

  constructor(ctx: KContext) {
    this.ctx = ctx;
  }

  /** => somebody was asleep in epoll_wait, and wakes */
  mayBeReady(i: EpollItem): boolean {
    this.ready.add(i);
    const wakes = this.ctx.wakeup(this);
    this.pollers.notify(this.ctx, POLLIN | POLLRDNORM);
    return wakes;
  }

  private find(f: OpenFile, fd: number): EpollItem | null {
    return this.items.get(f)?.get(fd) ?? null;
  }

  add(f: OpenFile, fd: number, ask: EpollEvent): number {
    if (this.find(f, fd)) return -EEXIST;
    if (!f.ops.poll) return -EPERM;
    const isExclusive = (ask.events & EPOLLEXCLUSIVE) !== 0;
    if (f.ops.kind === "epoll") {
      if (isExclusive) return -EINVAL;
      const depth = (f.data as Epoll).depthAvoiding(this, 1);
      if (depth > MAX_NESTS) return -ELOOP;
    }
    if (isExclusive && (ask.events & ~EXCLUSIVE_OK) !== 0) return -EINVAL;
    const i = new EpollItem(this, f, fd, ask), ofFile = this.items.get(f);
    if (ofFile) ofFile.set(fd, i);
    else this.items.set(f, new Map([[fd, i]]));
    (f.watchers ??= new Set()).add(i);
    if (i.look() !== 0) this.mayBeReady(i);
    return 0;
  }

  /** Levels of epolls at and below this one; Infinity when `top` is among them. */
  depthAvoiding(top: Epoll, level: number): number {
    if (this === top) return Infinity;
    let deepest = level;
    for (const f of this.items.keys()) {
      if (f.ops.kind !== "epoll" || level > MAX_NESTS) continue;
      deepest = Math.max(deepest, (f.data as Epoll).depthAvoiding(top, level + 1));
    }
    return deepest;
  }

  modify(f: OpenFile, fd: number, ask: EpollEvent): number {
    const i = this.find(f, fd);
    if (!i) return -ENOENT;
    if (((i.ask.events | ask.events) & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    i.ask = ask;
    i.isDisabled = false;
    if (i.look() !== 0) this.mayBeReady(i);
    return 0;
  }

  delete(f: OpenFile, fd: number): number {
    const i = this.find(f, fd);
    if (!i) return -ENOENT;
    this.remove(i);
    return 0;
  }

  remove(i: EpollItem): void {
    i.done();
    i.file.watchers?.delete(i);
    this.ready.delete(i);
    const ofFile = this.items.get(i.file);
    ofFile?.delete(i.fd);
    if (ofFile?.size === 0) this.items.delete(i.file);
  }

  /** Takes up to `most` events. => each with the bits that hold */
  collect(most: number): Told[] {
    const out: Told[] = [];
    for (const i of [...this.ready]) {
      if (out.length >= most) break;
      const events = i.look(), { ask } = i;
      this.ready.delete(i);
      if (events === 0) continue;
      out.push({ events, lo: ask.lo, hi: ask.hi, item: i });
      if ((ask.events & EPOLLONESHOT) !== 0) i.isDisabled = true;
      // To the end of the list: next time others come first.
      else if ((ask.events & EPOLLET) === 0) this.ready.add(i);
    }
    return out;
  }

  /** Events that could not be told after all: edges and EPOLLONESHOT are as before. */
  giveBack(list: readonly Told[]): void {
    for (const { item } of list) {
      if (this.find(item.file, item.fd) !== item) continue;
      if ((item.ask.events & EPOLLONESHOT) !== 0) item.isDisabled = false;
      this.mayBeReady(item);
    }
  }

  /** Something is ready now. */
  get isReady(): boolean {
    for (const i of this.ready) if (i.look() !== 0) return true;
    return false;
  }

  close(): void {
    for (const ofFile of [...this.items.values()]) for (const i of [...ofFile.values()]) this.remove(i);
  }
}

export class EpollOps implements FileOps {
  readonly kind = "epoll";
  private readonly k: Kern;

  constructor(k: Kern) {
    this.k = k;
  }

  create(): OpenFile {
    return new OpenFile(this, O_RDWR, new Epoll(this.k.ctx));
  }

  *read(): KGen<number> {
    return -EINVAL;
  }

  *write(): KGen<number> {
    return -EINVAL;
  }

  poll(f: OpenFile, events: number, w: PollWaiter | null): number {
    const ep = f.data as Epoll;
    if (w) ep.pollers.record(w);
    return ep.isReady ? events & (POLLIN | POLLRDNORM) : 0;
  }

  *close(f: OpenFile): KGen<void> {
    (f.data as Epoll).close();
  }

  *stat(): KGen<Attr | number> {
    return anonAttr();
  }

  describe(): string {
    return "anon_inode:[eventpoll]";
  }
}
