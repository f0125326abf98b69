/** Parts of the demo that can be found broken; `failed` of the last line names one. */
export type StoryPart = 'setup' | 'service' | 'metrics' | 'judge' | 'delivery' | 'git' | 'loop' | 'recovery' | 'traffic';

/** The story did not go as it must. */
export class StoryFailure extends Error {
  readonly part: StoryPart;
  constructor(part: StoryPart, sentence: string) {
    super(sentence);
    this.part = part;
  }
}
