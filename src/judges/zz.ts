import { isFinal } from '../analysis/record.ts';
export const x = isFinal;
