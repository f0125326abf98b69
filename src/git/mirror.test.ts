import { describeRepository } from '../../test/conformance/repository.ts';
import { gitWorld } from '../../test/git/world.ts';

describeRepository('git over HTTP with a kept mirror', () => gitWorld());
