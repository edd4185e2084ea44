// Rights of a mapping, and flags of pmapEnter. The low three bits of the flags are the access that causes the entry.
export const PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4;
export const PMAP_WIRED = 1 << 4, PMAP_CANFAIL = 1 << 5;
