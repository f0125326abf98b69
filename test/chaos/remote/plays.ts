/** One thing that goes wrong; says what was seen, or throws the sentence of what did not hold. */
export interface PlayEntry {
  name: string;
  perform: () => Promise<string>;
}

/** A play that this machine cannot give, and why. */
export class Skipped extends Error {}
