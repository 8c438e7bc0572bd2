// Parts that need no socket, and files that must fit the code.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { planted } from '../src/faults.js';
import { FLAGS } from '../src/flags.js';
import { MESSAGES } from '../src/guard.js';
import { Store } from '../src/reports.js';

const set = JSON.parse(readFileSync(new URL('../flags.json', import.meta.url), 'utf8'));

test('a fault that cannot be read is no rehearsal', () => {
  for (const text of ['exec-reports', 'exec-reports=5', 'exec-report=5%', 'council=-1ms', '=5%']) {
    assert.throws(() => planted(text), /FAULTS/, text);
  }
});

test('a fault fails evenly and waits', async () => {
  const faults = planted(' exec-reports=12.5% , council=1ms,council=100% ');
  let failed = 0;
  for (let i = 0; i < 80; i += 1) await faults.meet('exec-reports').catch(() => (failed += 1));
  assert.equal(failed, 10);
  await assert.rejects(faults.meet('council'), /council failed, as planted/);
  await faults.meet('master-reports');
  await planted('').meet('exec-reports');
});

test('what is kept is bounded', () => {
  const store = new Store();
  for (let i = 0; i < 60; i += 1) store.add('acme', 'c', { id: i });
  assert.deepEqual(store.of('acme', 'c').map((report) => report.id)[0], 10);
  for (let i = 0; i < 5_000; i += 1) store.add('other', `c${i}`, {});
  assert.equal(store.of('acme', 'c').length, 0);
  assert.equal(store.of('other', 'c4999').length, 1);
  assert.equal(store.of('a', 'b","c').length, 0);
});

// FLAG-01, FLAG-02, FLAG-16: the file has the six flags, each off and safe.
test('the file has what the code asks for', () => {
  assert.deepEqual(Object.keys(set.flags), FLAGS);
  for (const [key, flag] of Object.entries(set.flags)) {
    assert.equal(flag.safe, 'off');
    assert.equal(flag.default, undefined);
    assert.equal(flag.environments, undefined, `${key} is on for somebody`);
    assert.equal(flag.message, MESSAGES[key]);
  }
  const sizes = Object.values(set.tenants).map((tenant) => tenant.attributes.size);
  assert.equal(sizes.length, 1_000);
  assert.deepEqual(new Set(sizes), new Set(['small', 'medium', 'large']));
  const guarded = set.guards.reports.routes.map((route) => [route.method, route.path, route.flag]);
  assert.deepEqual(guarded, [
    ['POST', '/modules/:moduleId/execute', 'execReportsEnabled'],
    ['GET', '/reports/exec/:configurationId', 'reportsApiEnabled'],
    ['POST', '/reports/master/:configurationId/generate', 'masterReportsEnabled'],
  ]);
});
