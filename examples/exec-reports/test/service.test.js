// The service against a flag server, over real sockets.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { test } from 'node:test';
import { app } from '../src/app.js';
import { planted } from '../src/faults.js';
import { connect } from '../src/flags.js';
import { stub } from './stub.js';

let domains = 0;

/** A service and its flag server. */
async function world(t, { flags = {}, faults = '', token } = {}) {
  const ofrep = await stub(flags);
  const warnings = [];
  const warn = (text) => warnings.push(text);
  domains += 1;
  const asking = await connect({ url: ofrep.url, token, domain: `test ${domains}`, warn });
  const server = app({ flags: asking, faults: planted(faults), warn });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
    ofrep.close();
  });
  const ask = async (method, path, { headers = { 'x-tenant-id': 'acme' }, body } = {}) => {
    const { port } = server.address();
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false });
    sent.end(body);
    const [answer] = await once(sent, 'response');
    let text = '';
    for await (const piece of answer) text += piece;
    return { status: answer.statusCode, headers: answer.headers, text, body: text && JSON.parse(text) };
  };
  return { ofrep, warnings, ask, asking };
}

const ALL = {
  execReportsEnabled: true,
  masterReportsEnabled: true,
  reportsApiEnabled: true,
  reportsUiEnabled: true,
  consolidationEnabled: true,
  councilSynthesisEnabled: true,
};
const OFF = Object.fromEntries(Object.keys(ALL).map((key) => [key, false]));
const input = (words) => ({
  headers: { 'x-tenant-id': 'acme' },
  body: JSON.stringify({ configurationId: 'c 1', input: words }),
});

// GRD-01, GRD-02: the answer of a closed route, to the byte.
test('while a flag is off, its routes say so', async (t) => {
  const { ask } = await world(t, { flags: OFF });
  for (const [method, path, text] of [
    ['GET', '/reports/exec/7', '{"error":"Reports API not available","code":"FEATURE_DISABLED"}'],
    [
      'POST',
      '/reports/master/7/generate',
      '{"error":"MasterReports feature not available","code":"FEATURE_DISABLED"}',
    ],
  ]) {
    const closed = await ask(method, path);
    assert.equal(closed.status, 503);
    assert.equal(closed.text, text);
    assert.equal(closed.headers['retry-after'], '60');
    assert.equal(closed.headers['content-type'], 'application/json');
  }
  assert.equal((await ask('HEAD', '/reports/exec/7')).status, 503);
});

// GRD-05: what was there before the feature stays.
test('a module gives its result with and without the feature', async (t) => {
  const { ask, ofrep } = await world(t, { flags: { ...OFF } });
  const base = await ask('POST', '/modules/m1/execute', input('a b a'));
  assert.equal(base.status, 200);
  const result = { moduleId: 'm1', words: 3, insights: ['a', 'b'] };
  assert.deepEqual(base.body, { result });
  ofrep.flags.execReportsEnabled = true;
  const more = await ask('POST', '/modules/m1/execute', input('a b a'));
  const { execReportId, ...same } = more.body.result;
  assert.deepEqual(same, result);
  assert.match(execReportId, /^[0-9a-f-]{36}$/);
});

test('reports are read, made into one, consolidated and agreed on', async (t) => {
  const { ask, ofrep } = await world(t, { flags: { ...ALL } });
  const first = await ask('POST', '/modules/m1/execute', input('a b'));
  await ask('POST', '/modules/m2/execute', input('b c'));
  const list = await ask('GET', '/reports/exec/c%201');
  assert.equal(list.body.reports.length, 2);
  assert.equal(list.body.reports[0].id, first.body.result.execReportId);
  const other = await ask('GET', '/reports/exec/c%201', { headers: { 'x-tenant-id': 'other' } });
  assert.deepEqual(other.body, { reports: [] });

  const { status, body } = await ask('POST', '/reports/master/c%201/generate');
  assert.equal(status, 201);
  assert.deepEqual(body.report.insights, [
    { insight: 'a', reports: 1 },
    { insight: 'b', reports: 2 },
    { insight: 'c', reports: 1 },
  ]);
  assert.deepEqual(body.report.synthesis.agreed, ['b']);
  ofrep.flags.consolidationEnabled = ofrep.flags.councilSynthesisEnabled = false;
  const plain = (await ask('POST', '/reports/master/c%201/generate')).body.report;
  assert.deepEqual(plain.insights, ['a', 'b', 'b', 'c'].map((insight) => ({ insight })));
  assert.equal(plain.synthesis, undefined);
});

// FLAG-07, FLAG-12: tenant and user are what is asked about.
test('the flag server is told whose a request is', async (t) => {
  const mine = (context) => context.user === 'ana@example.com';
  const flags = { ...OFF, reportsApiEnabled: mine, reportsUiEnabled: mine };
  const { ask, ofrep } = await world(t, { flags, token: 'secret' });
  const headers = { 'x-tenant-id': 'acme', 'x-user-id': 'ana@example.com' };
  assert.equal((await ask('GET', '/reports/exec/7', { headers })).status, 200);
  assert.equal((await ask('GET', '/reports/exec/7')).status, 503);
  assert.deepEqual((await ask('GET', '/features', { headers })).body, { reportsUi: true });
  const [first, second] = ofrep.asked;
  const ana = 'ana@example.com';
  assert.deepEqual(first.context, { targetingKey: ana, tenant: 'acme', user: ana });
  assert.equal(first.headers.authorization, 'Bearer secret');
  assert.deepEqual(second.context, { targetingKey: 'acme', tenant: 'acme' });
});

// GRD-03: nobody's request is off, and never somebody else's.
test('a request without a tenant is nobody’s', async (t) => {
  const { ask, ofrep } = await world(t, { flags: ALL });
  for (const tenant of [undefined, '', ' ', ['acme', 'other'], 'x'.repeat(513)]) {
    const headers = tenant === undefined ? {} : { 'x-tenant-id': tenant };
    assert.equal((await ask('GET', '/reports/exec/7', { headers })).status, 503);
    const run = await ask('POST', '/modules/7/execute', { headers });
    assert.equal(run.status, 200);
    assert.equal(run.body.result.execReportId, undefined);
  }
  assert.equal(ofrep.asked.length, 0);
});

// FLAG-02: whatever the flag server does, off.
test('a flag server that is dead, slow, busy or mad is off', async (t) => {
  const json = { 'content-type': 'application/json' };
  for (const fault of [
    'silent',
    [500, { errorDetails: 'no' }],
    [429, '', { 'retry-after': '1' }],
    [200, 'nonsense', json],
    [200, { key: 'reportsApiEnabled', value: 'yes', variant: 'v', reason: 'STATIC' }],
    [401, ''],
  ]) {
    const { ask, ofrep, warnings } = await world(t, { flags: ALL });
    ofrep.fault = fault;
    assert.equal((await ask('GET', '/reports/exec/7')).status, 503, String(fault));
    assert.equal((await ask('POST', '/modules/7/execute')).status, 200);
    assert.ok(warnings.length > 0, 'nobody is told');
  }
  const { ask, ofrep } = await world(t, { flags: ALL });
  ofrep.close();
  assert.equal((await ask('GET', '/reports/exec/7')).status, 503);
});

test('only the six flags are asked for', async (t) => {
  const { asking } = await world(t);
  await assert.rejects(asking.isOn('execReportEnabled', { tenant: 'acme' }), /no flag/);
  assert.equal(await asking.isOn('execReportsEnabled', { tenant: 'acme' }), false);
});

// The demonstration's fault: it is in the feature, and in nothing else.
test('a planted fault fails its share of the feature’s uses', async (t) => {
  const { ask, ofrep } = await world(t, { flags: { ...ALL }, faults: 'exec-reports=5%' });
  const run = async () => (await ask('POST', '/modules/7/execute', input('a'))).status;
  const statuses = [];
  for (let i = 0; i < 100; i += 1) statuses.push(await run());
  assert.equal(statuses.filter((status) => status === 500).length, 5);
  ofrep.flags.execReportsEnabled = false;
  for (let i = 0; i < 40; i += 1) assert.equal(await run(), 200);
});

test('what is no request of this service is refused', async (t) => {
  const { ask } = await world(t, { flags: ALL });
  const post = (body) => ask('POST', '/modules/7/execute', { ...input(''), body });
  assert.equal((await post('{')).status, 400);
  assert.equal((await post('[1]')).status, 400);
  assert.equal((await post('null')).status, 400);
  assert.equal((await post(`{"input":"${'x'.repeat(70_000)}"}`)).status, 413);
  assert.equal((await ask('GET', '/modules/7/execute')).status, 405);
  assert.equal((await ask('GET', '/nothing')).status, 404);
  assert.equal((await ask('GET', '/reports/exec/')).status, 404);
  assert.equal((await ask('GET', '/reports/exec/%zz')).status, 400);
  assert.deepEqual((await ask('GET', '/health')).body, { status: 'ok' });
});
