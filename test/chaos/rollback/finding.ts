/**
 * What did not hold in a play: nothing came of the rollback, more than one did, it took too long, or
 * something else is not as it should be.
 */
export class Finding extends Error {
  readonly kind: 'lost' | 'double' | 'slow' | 'wrong';

  constructor(kind: Finding['kind'], sentence: string) {
    super(sentence);
    this.kind = kind;
  }
}
