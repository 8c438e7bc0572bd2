import { expect, it } from 'vitest';
import { changes } from '../src/core/changes';
import { release, service } from './samples';

const keys = (...of: Parameters<typeof changes>) => changes(...of).map((one) => one.key);

it('says what changed and nothing else', () => {
  const before = service();
  expect(keys(undefined, before)).toEqual([]);
  expect(keys(before, service({ traffic_second: 7 }))).toEqual([]);
  expect(keys(before, service({ release: release({ release: 'r2' }) }))).toEqual(['say.began']);
  expect(keys(before, service({ release: release({ share: '50%' }) }))).toEqual(['say.share']);
  expect(keys(before, service({ release: release({ share: '50%', share_confirmed: false }) }))).toEqual([]);
  const held = service({ release: release({ hold: 'no traffic' }) });
  expect(changes(before, held)).toEqual([
    { key: 'say.held', values: { service: 'shop', version: '2.0', why: 'no traffic' } },
  ]);
  expect(keys(held, before)).toEqual(['say.goesOn']);
  expect(keys(before, service({ release: release({ outcome: 'rolled_back' }) }))).toEqual(['say.back']);
  expect(keys(before, service({ release: release({ outcome: 'rollback_failed' }) }))).toEqual(['say.failed']);
});
