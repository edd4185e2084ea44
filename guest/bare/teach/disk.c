// The disk: a queue of eight descriptors, three to a request; who finds none free sleeps. Part of kernel.c.
#define VR(r) reg32(DISK + (r))
#define NUM 8

struct desc { u64 addr; u32 len; u16 flags, next; };
struct avail { u16 flags, idx, ring[NUM], unused; };
struct used { u16 flags, idx; struct { u32 id, len; } ring[NUM]; };
struct request { u32 type, reserved; u64 sector; };

static struct desc *desc;
static struct avail *avail;
static volatile struct used *used;
static char desc_free[NUM];
static u16 used_seen;
static struct { volatile u8 status; volatile int busy; struct request request; } inflight[NUM];
#ifdef OLD
__attribute__((aligned(PAGE))) static char ring_pages[2 * PAGE];
#endif

static void disk_init(void) {
#ifdef OLD
  u32 version = 1;
#else
  u32 version = 2;
#endif
  if (VR(0) != 0x74726976 || VR(4) != version || VR(8) != 2 || VR(0xc) != 0x554d4551) panic("could not find the disk");
  u32 status = 0;
#ifndef OLD
  VR(0x70) = status;
#endif
  VR(0x70) = status |= 1;
  VR(0x70) = status |= 2;
  u64 features = VR(0x10);
  features &= ~((1UL << 5) | (1UL << 7) | (1UL << 11) | (1UL << 12) | (1UL << 27) | (1UL << 28) | (1UL << 29));
  VR(0x20) = (u32)features;
  VR(0x70) = status |= 8;
#ifdef OLD
  VR(0x70) = status |= 4; // before the queue is there, as it was done
  VR(0x28) = PAGE;
  VR(0x30) = 0;
  u32 max = VR(0x34);
  if (max == 0 || max < NUM) panic("queue");
  VR(0x38) = NUM;
  fill(ring_pages, 0, sizeof ring_pages);
  VR(0x40) = (u64)ring_pages >> 12;
  desc = (struct desc *)ring_pages;
  avail = (struct avail *)(ring_pages + NUM * sizeof(struct desc));
  used = (struct used *)(ring_pages + PAGE);
#else
  status = VR(0x70);
  if (!(status & 8)) panic("features refused");
  VR(0x30) = 0;
  if (VR(0x44)) panic("queue is ready already");
  u32 max = VR(0x34);
  if (max == 0 || max < NUM) panic("queue");
  desc = page_alloc();
  avail = page_alloc();
  used = page_alloc();
  VR(0x38) = NUM;
  VR(0x80) = (u64)desc; VR(0x84) = (u64)desc >> 32;
  VR(0x90) = (u64)avail; VR(0x94) = (u64)avail >> 32;
  VR(0xa0) = (u64)used; VR(0xa4) = (u64)used >> 32;
  VR(0x44) = 1;
  VR(0x70) = status |= 4;
#endif
  fill(desc_free, 1, NUM);
}

static int three_descriptors(int *index) {
  int n = 0;
  for (int i = 0; i < NUM && n < 3; i++) if (desc_free[i]) index[n++] = i;
  if (n < 3) return 0;
  for (int i = 0; i < 3; i++) desc_free[index[i]] = 0;
  return 1;
}

static void disk_move(u64 block, void *buffer, int write) {
  int index[3];
  lock();
  while (!three_descriptors(index)) sleep(desc_free);
  struct request *request = &inflight[index[0]].request;
  request->type = write ? 1 : 0;
  request->reserved = 0;
  request->sector = block * 2;
  desc[index[0]] = (struct desc){(u64)request, sizeof *request, 1, (u16)index[1]};
  desc[index[1]] = (struct desc){(u64)buffer, 1024, write ? 1 : 3, (u16)index[2]};
  inflight[index[0]].status = 0xff;
  desc[index[2]] = (struct desc){(u64)&inflight[index[0]].status, 1, 2, 0};
  inflight[index[0]].busy = 1;
  avail->ring[avail->idx % NUM] = (u16)index[0];
  __sync_synchronize();
  avail->idx++;
  __sync_synchronize();
  VR(0x50) = 0;
  while (inflight[index[0]].busy) sleep(&inflight[index[0]]);
  for (int i = 0; i < 3; i++) { fill(&desc[index[i]], 0, sizeof *desc); desc_free[index[i]] = 1; }
  wakeup(desc_free);
  unlock();
}

static void disk_interrupt(void) {
  disk_irqs++;
#ifndef OLD // early ones acknowledge nothing
  VR(0x64) = VR(0x60) & 3;
#endif
  __sync_synchronize();
  while (used_seen != used->idx) {
    __sync_synchronize();
    u32 id = used->ring[used_seen % NUM].id;
    if (inflight[id].status != 0) panic("disk status");
    inflight[id].busy = 0;
    wakeup(&inflight[id]);
    used_seen++;
  }
}
