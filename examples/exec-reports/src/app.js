// The service: routes, guards before them, answers.

import { createServer } from 'node:http';
import { block, fallback, whose } from './guard.js';
import { Store, execReport, execute, masterReport, synthesis } from './reports.js';

/** Largest request body in bytes. */
const LARGEST = 64 * 1024;

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function routes(flags, faults, store) {
  // It was there before reports: its result stays, whatever the flag says.
  const run = async ({ whom, params, body, feature }) => {
    const configurationId = String(body.configurationId ?? 'default');
    const result = execute(params.moduleId, body.input);
    if (!feature) return { status: 200, body: { result } };
    await faults.meet('exec-reports');
    const report = execReport(configurationId, result);
    store.add(whom.tenant, configurationId, report);
    return { status: 200, body: { result: { ...result, execReportId: report.id } } };
  };

  const list = async ({ whom, params }) => ({
    status: 200,
    body: { reports: store.of(whom.tenant, params.configurationId) },
  });

  const generate = async ({ whom, params }) => {
    await faults.meet('master-reports');
    const reports = store.of(whom.tenant, params.configurationId);
    const consolidated = await flags.isOn('consolidationEnabled', whom);
    if (consolidated) await faults.meet('consolidation');
    const report = masterReport(params.configurationId, reports, { consolidated });
    if (await flags.isOn('councilSynthesisEnabled', whom)) {
      await faults.meet('council');
      report.synthesis = synthesis(report);
    }
    return { status: 201, body: { report } };
  };

  // What the page may show.
  const features = async ({ whom }) => ({
    status: 200,
    body: { reportsUi: await flags.isOn('reportsUiEnabled', whom) },
  });

  return [
    ['POST', '/modules/:moduleId/execute', fallback(flags, 'execReportsEnabled', run)],
    ['GET', '/reports/exec/:configurationId', block(flags, 'reportsApiEnabled', list)],
    [
      'POST',
      '/reports/master/:configurationId/generate',
      block(flags, 'masterReportsEnabled', generate),
    ],
    ['GET', '/features', features],
    ['GET', '/health', async () => ({ status: 200, body: { status: 'ok' } })],
  ].map(([method, pattern, handler]) => ({ method, segments: pattern.split('/'), handler }));
}

function match(route, segments) {
  if (route.segments.length !== segments.length) return undefined;
  const params = {};
  for (const [i, own] of route.segments.entries()) {
    if (own.startsWith(':') && segments[i] !== '') params[own.slice(1)] = segments[i];
    else if (own !== segments[i]) return undefined;
  }
  return params;
}

function segmentsOf(url) {
  try {
    return url.split('?', 1)[0].split('/').map(decodeURIComponent);
  } catch {
    throw new Refused(400, 'the path cannot be read');
  }
}

async function bodyOf(request) {
  const pieces = [];
  let length = 0;
  for await (const piece of request) {
    length += piece.length;
    if (length > LARGEST) throw new Refused(413, `a body has at most ${LARGEST} bytes`);
    pieces.push(piece);
  }
  if (length === 0) return {};
  try {
    const body = JSON.parse(Buffer.concat(pieces).toString());
    if (body !== null && typeof body === 'object' && !Array.isArray(body)) return body;
  } catch {
    // Said below.
  }
  throw new Refused(400, 'the body is no JSON object');
}

/** The service, not yet listening. */
export function app({ flags, faults, store = new Store(), warn = console.error }) {
  const all = routes(flags, faults, store);

  async function answer(request) {
    const segments = segmentsOf(request.url);
    const found = all
      .map((route) => ({ route, params: match(route, segments) }))
      .filter(({ params }) => params !== undefined);
    if (found.length === 0) throw new Refused(404, 'there is nothing here');
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    const one = found.find(({ route }) => route.method === method);
    if (!one) throw new Refused(405, `this is no ${request.method}`);
    const body = await bodyOf(request);
    return one.route.handler({ whom: whose(request), params: one.params, body });
  }

  return createServer(async (request, response) => {
    let said;
    try {
      said = await answer(request);
    } catch (error) {
      const status = error instanceof Refused ? error.status : 500;
      if (status === 500) warn(`${request.method} ${request.url}: ${error.message}`);
      said = { status, body: { error: status === 500 ? 'something failed' : error.message } };
    }
    const body = JSON.stringify(said.body);
    response.writeHead(said.status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...said.headers,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
}
