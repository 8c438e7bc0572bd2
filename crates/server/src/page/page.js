
'use strict';
const $ = (id) => document.getElementById(id);
const KEY = 'esclusa-token';
const STALE_S = 5;
const services = new Map();
const cards = new Map();
let mayAct = false;
let closing = null;

// What can be asked of a release, in the order of the buttons.
const ACTIONS = [
  { verb: 'pause', name: 'Pause', text: 'Stop the advance. The judge goes on watching.', reason: true, when: (r) => !r.paused_by },
  { verb: 'resume', name: 'Resume', text: 'Let the release advance again.', reason: true, when: (r) => r.paused_by || r.needs_person_at_us !== null || r.hold },
  { verb: 'skip', name: 'Skip stage', text: 'Pass what is left of this stage without its evidence.', reason: true, when: () => true },
  { verb: 'promote', name: 'Promote', text: 'Send all users to the new version now.', reason: true, when: () => true },
  { verb: 'abort', name: 'Abort', text: 'Return all users to the version before and undo what the release did.', reason: true, back: true, when: () => true },
];
const ROLLBACK = { verb: 'rollback', name: 'Roll back', text: 'Return all users to the version before.', reason: true, back: true };

async function call(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  const token = sessionStorage.getItem(KEY);
  if (token) headers.Authorization = 'Bearer ' + token;
  if (options.body) headers['Content-Type'] = 'application/json';
  const response = await fetch(path, { ...options, headers, cache: 'no-store' });
  if (response.ok) return response;
  const error = await response.json().catch(() => ({ message: 'HTTP ' + response.status, help: '' }));
  throw Object.assign(new Error(error.message), { status: response.status, help: error.help });
}

function link(state, words) {
  $('link').className = state;
  $('link').textContent = words;
}

function showLogin(message) {
  if (closing) closing.abort();
  $('login').hidden = false;
  $('login-error').textContent = message || '';
  $('empty').hidden = true;
  $('logout').hidden = true;
  $('who').textContent = '';
  $('services').replaceChildren();
  services.clear();
  cards.clear();
  link('lost', 'not logged in');
  $('token').focus();
}

async function start() {
  let me;
  try {
    me = await (await call('/api/v1/me')).json();
  } catch (error) {
    if (error.status === 401) return showLogin(sessionStorage.getItem(KEY) ? error.message : '');
    link('lost', 'the server does not answer; trying again');
    return void setTimeout(start, 2000);
  }
  mayAct = me.roles.some((role) => role === 'operator' || role === 'admin');
  $('login').hidden = true;
  $('who').textContent = me.actor + ' (' + me.roles.join(', ') + ')';
  $('logout').hidden = !sessionStorage.getItem(KEY);
  follow();
}

// Reads the stream of services until it ends, and begins again.
async function follow() {
  let pause = 500;
  const mine = closing = new AbortController();
  while (!mine.signal.aborted) {
    try {
      const response = await call('/api/v1/stream', { signal: mine.signal });
      link('live', 'live');
      $('empty').hidden = services.size > 0;
      pause = 500;
      await readMessages(response.body, (kind, data) => {
        if (kind === 'service') show(JSON.parse(data));
      });
    } catch (error) {
      if (mine.signal.aborted) return;
      if (error.status === 401) return showLogin(error.message);
    }
    link('lost', 'connection lost; what is shown may be old');
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(pause * 2, 10000);
  }
}

async function readMessages(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      let kind = 'message';
      const data = [];
      for (const line of text.slice(0, end).split('\n')) {
        if (line.startsWith('event:')) kind = line.slice(6).trim();
        if (line.startsWith('data:')) data.push(line.slice(5).replace(/^ /, ''));
      }
      if (data.length) take(kind, data.join('\n'));
    }
  }
}

function show(view) {
  services.set(view.service, view);
  $('empty').hidden = true;
  let card = cards.get(view.service);
  if (!card) {
    card = makeCard(view.service);
    cards.set(view.service, card);
    const after = [...cards.keys()].sort().find((name) => name > view.service);
    $('services').insertBefore(card.root, after ? cards.get(after).root : null);
  }
  fill(card, view);
}

function makeCard(name) {
  const root = $('service').content.firstElementChild.cloneNode(true);
  const part = (selector) => root.querySelector(selector);
  const card = {
    root, buttons: new Map(),
    stable: part('.stable'), headline: part('.headline'), gates: part('.gates'), hold: part('.hold'),
    judge: part('.judge'), work: part('.work'), caption: part('caption'), rows: part('tbody'),
  };
  part('h2').textContent = name;
  for (const action of [...ACTIONS, ROLLBACK]) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.name;
    if (action.back) button.className = 'back';
    button.addEventListener('click', () => ask(action, services.get(name)));
    card.buttons.set(action.verb, button);
    part('.actions').append(button);
  }
  return card;
}

function fill(card, view) {
  const release = view.release;
  set(card.stable, view.stable ? 'stable: ' + view.stable.name : 'nothing is stable yet');
  set(card.headline, headline(view));
  const waits = release && !release.outcome ? release.hold : null;
  set(card.hold, waits || '');
  set(card.judge, (release && release.judged) || '');
  set(card.work, release ? work(release) : '');
  card.gates.replaceChildren(...(release ? release.stages.map((stage, n) => gate(release, stage, n)) : []));
  card.rows.replaceChildren(...view.traffic.map((row) => trafficRow(view, row)));
  const running = release && !release.outcome;
  const returning = running && release.returning_because;
  for (const action of ACTIONS) {
    const button = card.buttons.get(action.verb);
    button.hidden = !running || Boolean(returning) || !action.when(release);
    button.disabled = !mayAct;
  }
  const back = card.buttons.get('rollback');
  back.hidden = !release || running || !view.can_return;
  back.disabled = !mayAct;
  tick(card, view);
}

function headline(view) {
  const r = view.release;
  if (!r) return 'no release yet';
  const line = view.queue.length ? '; ' + view.queue.length + ' in line' : '';
  if (r.outcome) return r.version + ': ' + r.outcome.replace('_', ' ') + ' \u2014 ' + (r.reason || '') + line;
  const share = r.share + (r.share_confirmed ? '' : ' (being set)');
  const why = r.paused_because ? ' (' + r.paused_because + ')' : '';
  const paused = r.paused_by ? ', paused by ' + r.paused_by + why : '';
  const back = r.returning_because ? ', going back: ' + r.returning_because : '';
  return r.version + ': ' + r.phase + ', users on it: ' + share + paused + back + line;
}

function work(r) {
  const lines = r.tasks.filter((t) => !t.result || !t.done).map((t) => t.title + ': ' + (t.result || 'runs'));
  if (r.missing_sign_offs.length && !r.outcome) lines.push('sign-off missing: ' + r.missing_sign_offs.join(', '));
  return lines.join('\n');
}

function gate(release, stage, n) {
  const item = document.createElement('li');
  const name = document.createElement('b');
  const state = document.createElement('span');
  name.textContent = stage.to;
  const over = Boolean(release.outcome || release.returning_because);
  if (stage.left_at_us) {
    const last = !release.stages.slice(n + 1).some((later) => later.entered_at_us);
    const back = Boolean(release.returning_because) && last;
    item.className = back ? 'back' : 'passed';
    state.textContent = back ? 'went back here' : 'passed';
    item.title = stage.left_because || '';
  } else if (stage.entered_at_us) {
    item.className = over ? '' : 'here';
    item.dataset.until = stage.confirmed_at_us ? stage.confirmed_at_us + stage.for_ms * 1000 : '';
    if (!over) item.setAttribute('aria-current', 'step');
    state.textContent = over ? 'entered' : 'now';
  } else {
    state.textContent = 'closed';
  }
  item.append(name, state);
  return item;
}

function trafficRow(view, row) {
  const r = view.release;
  const names = [view.stable, r && { name: r.version, digest: r.digest }, r && r.stable, view.warm && view.warm.version];
  const known = names.find((version) => version && version.digest === row.version);
  const tr = document.createElement('tr');
  const cells = [
    known ? known.name : row.version.slice(0, 19),
    row.requests_per_s.toFixed(1),
    row.error_rate === null ? 'unknown' : (row.error_rate * 100).toFixed(2) + ' %',
    row.p95_ms === null ? 'unknown' : row.p95_ms.toFixed(row.p95_ms < 10 ? 1 : 0) + ' ms',
  ];
  for (const cell of cells) tr.appendChild(document.createElement('td')).textContent = cell;
  return tr;
}

// What grows old by itself: counts and the watch of the present stage.
function tick(card, view) {
  const now = Date.now() / 1000;
  const age = view.traffic_second === null ? null : Math.max(0, Math.round(now - view.traffic_second));
  const stale = age === null || age > STALE_S;
  card.caption.className = stale ? 'stale' : '';
  set(card.caption, age === null ? 'No traffic counted yet' : stale ? 'STALE: last counts are ' + age + ' s old' : 'Last 10 seconds');
  for (const item of card.gates.querySelectorAll('.here')) {
    const left = Number(item.dataset.until) / 1e6 - now;
    set(item.lastChild, !item.dataset.until ? 'now, being set' : left > 0 ? 'now, ' + span(left) + ' to watch' : 'now, waiting for proof');
  }
}

function span(seconds) {
  const s = Math.ceil(seconds);
  if (s < 60) return s + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + (s % 60) + ' s';
  return Math.floor(s / 3600) + ' h ' + (Math.floor(s / 60) % 60) + ' min';
}

function set(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

function ask(action, view) {
  const release = view.release;
  $('ask-title').textContent = action.name + ': ' + view.service + ' ' + release.version;
  $('ask-text').textContent = action.text;
  $('ask-label').hidden = $('ask-reason').hidden = !action.reason;
  $('ask-reason').value = '';
  $('ask-error').textContent = '';
  $('ask-yes').textContent = action.name;
  $('ask-yes').className = action.back ? 'back' : '';
  $('ask-yes').disabled = false;
  $('ask').querySelector('form').onsubmit = async (event) => {
    event.preventDefault();
    $('ask-yes').disabled = true;
    const body = action.reason ? JSON.stringify({ reason: $('ask-reason').value }) : undefined;
    try {
      await call('/api/v1/releases/' + encodeURIComponent(release.release) + '/' + action.verb, { method: 'POST', body });
      $('ask').close();
    } catch (error) {
      $('ask-error').textContent = error.message + (error.help ? ' \u2014 ' + error.help : '');
      $('ask-yes').disabled = false;
    }
  };
  $('ask').showModal();
}

$('ask-no').addEventListener('click', () => $('ask').close());
$('login').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $('token').value.trim());
  $('token').value = '';
  start();
});
$('logout').addEventListener('click', () => {
  sessionStorage.removeItem(KEY);
  showLogin('');
});
setInterval(() => {
  for (const [name, card] of cards) tick(card, services.get(name));
}, 1000);
start();
