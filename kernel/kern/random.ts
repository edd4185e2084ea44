// The kernel's random numbers: one stream from one seed (xoshiro128**), so that a run repeats. Not for secrets.

export class Random {
  private readonly s = new Uint32Array(4);
  constructor(seed: number) {
    let z = seed >>> 0;
    for (let i = 0; i < 4; i++) {
      // splitmix32 spreads the seed over the state
      z = (z + 0x9e3779b9) >>> 0;
      let v = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      v = Math.imul(v ^ (v >>> 15), 0x735a2d97);
      this.s[i] = v ^ (v >>> 15);
    }
  }

  /** 32 random bits. */
  next(): number {
    const { s } = this, s1 = s[1]!, m = Math.imul(s1, 5), r = Math.imul((m << 7) | (m >>> 25), 9) >>> 0, t = s1 << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s1;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = (s[3]! << 11) | (s[3]! >>> 21);
    return r;
  }

  fill(into: Uint8Array): void {
    for (let i = 0; i < into.length; i += 4) {
      const r = this.next();
      for (let j = 0; j < 4 && i + j < into.length; j++) into[i + j] = r >>> (8 * j);
    }
  }
}
