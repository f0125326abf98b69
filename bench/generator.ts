/** Seeded source of random numbers; the same seed gives the same run on every machine. */
export class Generator {
  #state: number;
  #spare: number | null = null;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number in [0, 1): mulberry32 (Tommy Ettinger, public domain). */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Standard normal, by Box and Muller. */
  normal(): number {
    if (this.#spare !== null) {
      const spare = this.#spare;
      this.#spare = null;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Log-normal with mean 1 and this standard deviation of the log; 1 for 0. */
  noise(spread: number): number {
    return spread === 0 ? 1 : Math.exp(spread * this.normal() - 0.5 * spread * spread);
  }

  /** Poisson count: arrivals at rate `mean` in one unit of time. */
  poisson(mean: number): number {
    let count = 0;
    for (let time = this.#wait(); time < mean; time += this.#wait()) count += 1;
    return count;
  }

  #wait(): number {
    return -Math.log(1 - this.uniform());
  }
}
