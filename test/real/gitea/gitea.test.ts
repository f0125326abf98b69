import { describeForge } from '../../conformance/forge.ts';
import { giteaWorld } from './gitea.ts';

describeForge('gitea, a real one', giteaWorld);
