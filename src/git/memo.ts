/**
 * Keeps answers about what never changes, such as what a commit holds, so that git is not started for them again. The
 * oldest go as new ones come.
 */
export class Memo<Answer> {
  readonly #most: number;
  readonly #isKept: (answer: Answer) => boolean;
  readonly #kept = new Map<string, { answer: Answer }>();

  /** @param isKept whether an answer counts for ever, and is small enough */
  constructor(most: number, isKept: (answer: Answer) => boolean = () => true) {
    this.#most = most;
    this.#isKept = isKept;
  }

  /** The answer of before, or else that of `ask`. The parts name the question. */
  async of(question: readonly (string | number)[], ask: () => Promise<Answer>): Promise<Answer> {
    const key = JSON.stringify(question);
    const known = this.#kept.get(key);
    if (known !== undefined) return known.answer;
    const answer = await ask();
    if (!this.#isKept(answer)) return answer;
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= this.#most && oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(key, { answer });
    return answer;
  }
}
