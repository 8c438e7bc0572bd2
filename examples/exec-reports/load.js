// Sends requests of many tenants: node load.js http://127.0.0.1:8080 [RATE] [SECONDS]
//
// Three of four run a module, the others read reports or make a master report. Each tenant
// comes as often as each other; one request of twenty is one of the team's. At the end, or at SIGTERM, it prints what was answered.

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';

const [base = 'http://127.0.0.1:8080', rate = '100', seconds = 'Infinity'] = process.argv.slice(2);
const file = new URL('flags.json', import.meta.url);
const flags = JSON.parse(readFileSync(file, 'utf8'));
const tenants = Object.keys(flags.tenants);
const team = flags.segments.team.keys;
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
const counts = new Map();
const until = Date.now() + Number(seconds) * 1000;
let sent = 0;
let open = 0;

function count(what) {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function send() {
  const tenant = tenants[sent % tenants.length];
  // The kind moves on with each round of all tenants.
  const kind = (sent + Math.floor(sent / tenants.length)) % 8;
  sent += 1;
  const [method, path] =
    kind === 6 ? ['GET', '/reports/exec/main']
    : kind === 7 ? ['POST', '/reports/master/main/generate']
    : ['POST', `/modules/${kind}/execute`];
  const body = method === 'POST' ? '{"configurationId":"main","input":"one two three two"}' : '';
  const headers = { 'x-tenant-id': tenant, 'content-length': body.length };
  // The team uses its product too.
  if (sent % 20 === 0) headers['x-user-id'] = team[(sent / 20) % team.length];
  open += 1;
  let answered = false;
  const asked = request(new URL(path, base), { method, agent, headers, timeout: 10_000 }, (answer) => {
    answered = true;
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (piece) => (text += piece));
    answer.on('error', () => {});
    answer.on('close', () => {
      open -= 1;
      const reported = answer.complete && text.includes('execReportId') ? ' with a report' : '';
      count(`${method} ${path.replace(/\d/, ':id')} ${answer.complete ? answer.statusCode : 'broken'}${reported}`);
    });
  });
  asked.on('timeout', () => asked.destroy(new Error('timeout')));
  asked.on('error', (error) => {
    if (!answered) {
      open -= 1;
      count(`${method} ${path.replace(/\d/, ':id')} ${error.code ?? error.message}`);
    }
  });
  asked.end(body);
}

function end() {
  clearInterval(timer);
  for (const [what, number] of [...counts].sort()) console.log(`${String(number).padStart(7)} ${what}`);
  process.exit(0);
}

const began = Date.now();
const timer = setInterval(() => {
  if (Date.now() >= until) return end();
  const due = Math.floor(((Date.now() - began) / 1000) * Number(rate));
  // A server that hangs gets no more than this at once.
  while (sent < due && open < 1_000) send();
  sent = Math.max(sent, due);
}, 10);
process.once('SIGTERM', end);
process.once('SIGINT', end);
