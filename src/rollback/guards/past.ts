import type { Guard } from './facts.ts';
import { durationText, momentText } from './words.ts';

/** design 5.5: when the last rollback did not help, the fault is probably not in the release. */
export const lastOneDidNotHelp: Guard = ({ past: { unhelpful } }) =>
  unhelpful === null
    ? null
    : {
        code: 'last_rollback_did_not_help',
        sentence: `the last rollback (${unhelpful}) did not bring the metrics back, so the cause may lie elsewhere; approve this one, or close that one by marking its revision good or bad`,
        approvable: true,
      };

/** design 5.3: the same commit is proposed once, however many revisions hold it. */
export const proposedAlready: Guard = ({ past: { proposed = null } }) =>
  proposed === null
    ? null
    : {
        code: 'revert_open',
        sentence: `rollback ${proposed.rollback} proposes to take the same commit out${proposed.url === null ? '' : `: ${proposed.url}`}; merge that one, or approve this rollback`,
        approvable: true,
      };

/** A human's no to one revision counts for the next one that holds the same commit, until a human says otherwise. */
export const refusedAlready: Guard = ({ past: { refused = null } }) =>
  refused === null
    ? null
    : {
        code: 'refused_before',
        sentence: `to take the same commit out was refused before (rollback ${refused.rollback}: ${refused.sentence}), which is a no; approve this one to have it all the same, or refuse it`,
        approvable: true,
      };

/** design 5.5: the same content that keeps coming back is a loop; one repeat is taken out, the next one waits. */
export const loop: Guard = ({ past: { sameContent } }) =>
  sameContent.length < 2
    ? null
    : {
        code: 'loop',
        sentence: `the same content was taken out ${sameContent.length} times before and keeps coming back; find out who brings it, then approve this one`,
        approvable: true,
      };

export const coolDown: Guard = ({ now, policy, past: { sameContent } }) => {
  const [last] = sameContent;
  return last === undefined || now - last >= policy.coolDown
    ? null
    : {
        code: 'cool_down',
        sentence: `the same content was taken out at ${momentText(last)} already, and guards.coolDown is ${durationText(policy.coolDown)}; find out who brought it back, then approve this one`,
        approvable: true,
      };
};

export const dayLimit: Guard = ({ policy, past: { today } }) =>
  today.application < policy.maxPerDay
    ? null
    : limit('limit_per_day', today.application, `of ${policy.application}`, 'guards.maxPerDay', policy.maxPerDay);

export const dayLimitOfRepository: Guard = ({ policy, fleet, past: { today } }) => {
  const { repository } = policy;
  const most = fleet.repositories.get(repository)?.maxPerDay ?? Infinity;
  return today.repository < most
    ? null
    : limit(
        'limit_per_day_repository',
        today.repository,
        `in repository ${repository}`,
        `repositories.${repository}.maxPerDay`,
        most,
      );
};

export const dayLimitEverywhere: Guard = ({ fleet, past: { today } }) =>
  today.everywhere < fleet.maxPerDay
    ? null
    : limit('limit_per_day_everywhere', today.everywhere, 'of all applications', 'rollbacks.maxPerDay', fleet.maxPerDay);

function limit(code: string, count: number, whose: string, key: string, most: number) {
  const sentence = `${count} rollbacks ${whose} were pushed in the last 24 hours and ${key} is ${most}; approve it to go on`;
  return { code, sentence, approvable: true };
}
