import { expect, it } from 'vitest';
import { others, sides } from '../src/core/traffic';
import { release, service } from './samples';

const counted = (version: string, requests: number) => ({ version, requests, failures: 0, requests_per_s: requests / 10 });

it('tells stable, canary and strangers apart', () => {
  const traffic = [counted('sha256:old', 75), counted('sha256:new', 25), counted('sha256:odd', 1)];
  const view = service({ traffic });
  const both = sides(view);
  expect([both.stable?.name, both.canary?.name]).toEqual(['1.0', '2.0']);
  expect(both.liveShare).toBe(0.25);
  expect(others(view).map((one) => one.version)).toEqual(['sha256:odd']);
});

it('has no share without traffic, and no canary once it is over', () => {
  expect(sides(service()).liveShare).toBeNull();
  expect(sides(service({ release: release({ outcome: 'aborted' }) })).canary).toBeNull();
});
