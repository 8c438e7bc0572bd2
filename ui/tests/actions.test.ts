import { describe, expect, it } from 'vitest';
import { may } from '../src/core/access';
import { actionsOf, request } from '../src/core/actions';
import { me, release, service } from './samples';

const verbs = (...of: Parameters<typeof actionsOf>) => actionsOf(...of).map((one) => one.verb);
const refused = (...of: Parameters<typeof actionsOf>) =>
  actionsOf(...of)
    .filter((one) => one.no)
    .map((one) => one.verb);

describe('roles', () => {
  it('include those below', () => {
    expect(may(me('viewer'), 'operator')).toBe(false);
    expect(may(me('operator', 'security'), 'approver')).toBe(true);
    expect(may(me('admin', '*'), 'operator')).toBe(true);
    expect(may(me('security'), 'viewer')).toBe(false);
  });

  // SEC-15: a viewer sees what there is, and why it is not theirs.
  it('leave a viewer nothing but to look', () => {
    const all = verbs(release(), service(), me('viewer'));
    expect(all).toEqual(['pause', 'skip', 'promote', 'abort']);
    expect(refused(release(), service(), me('viewer'))).toEqual(all);
    expect(refused(release(), service(), me('approver'))).toEqual(['pause', 'skip', 'promote']);
    expect(refused(release(), service(), me('operator'))).toEqual([]);
  });
});

describe('the state of a release', () => {
  const operator = me('operator');

  it('decides what makes sense', () => {
    expect(refused(release({ phase: 'preflight' }), service(), operator)).toEqual(['skip', 'promote']);
    expect(verbs(release({ paused_by: 'ana' }), service(), operator)).toContain('resume');
    expect(verbs(release({ returning_because: 'harm' }), service(), operator)).toEqual([]);
    expect(verbs(release({ phase: 'queued', place_in_line: 1 }), null, operator)).toEqual(['pause', 'abort']);
  });

  it('offers the way back once it is stable, while there is one', () => {
    const done = release({ phase: 'promoted', outcome: 'promoted' });
    const warm = service({ release: done, can_return: true });
    expect(verbs(done, warm, operator)).toEqual(['rollback']);
    expect(refused(done, warm, operator)).toEqual([]);
    const cold = service({ release: done, cannot_return_because: 'nothing is warm' });
    expect(actionsOf(done, cold, operator)[0]?.no).toEqual({ key: 'no.return', values: { why: 'nothing is warm' } });
    expect(verbs(done, null, operator)).toEqual([]);
    expect(verbs(release({ phase: 'ended', outcome: 'aborted' }), service(), operator)).toEqual([]);
  });
});

describe('sign-offs', () => {
  const wanted = { role: 'security', comment: '', not_by_author: true, items: [] };
  const asked = release({ phase: 'preflight', sign_offs: [wanted] });
  const sign = (who: ReturnType<typeof me>) => actionsOf(asked, service(), who)[0];

  it('are for those who have the role, and not for the author', () => {
    expect(sign(me('viewer'))?.no?.key).toBe('no.sign');
    expect(sign(me('viewer', 'security'))?.no).toBeUndefined();
    expect(sign(me('admin', '*'))?.no).toBeUndefined();
    expect(sign({ actor: 'laptop', person: 'ana', roles: ['security'] })?.no?.key).toBe('no.author');
    expect(sign({ actor: 'ana-ci', roles: ['security'] })?.no?.key).toBe('no.author');
  });

  it('are sent with what was confirmed', () => {
    const action = sign(me('viewer', 'security'));
    if (!action) throw new Error('there is one');
    expect(request(action, asked, 'seen', [{ item: 'restored', note: '' }])).toEqual({
      path: '/api/v1/releases/r1/sign-offs',
      body: { role: 'security', comment: 'seen', items: [{ item: 'restored', done: true, note: '' }] },
    });
  });
});
