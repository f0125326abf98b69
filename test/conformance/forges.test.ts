import { forgeWorld } from '../support/forges/worlds.ts';
import { describeForge } from './forge.ts';

describeForge('github', () => forgeWorld('github'));
describeForge('gitlab', () => forgeWorld('gitlab'));
describeForge('gitea', () => forgeWorld('gitea'));
