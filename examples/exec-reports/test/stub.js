// A flag server for tests: OFREP, as much of it as the provider asks.

import { createServer } from 'node:http';
import { once } from 'node:events';

/** `flags` says who has what: a name to true, false, or a function of the context. */
export async function stub(flags = {}) {
  const asked = [];
  const world = { flags, asked, fault: undefined };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const key = decodeURIComponent(request.url.replace('/ofrep/v1/evaluate/flags/', ''));
    const { context } = JSON.parse(text);
    asked.push({ key, context, headers: request.headers });
    const send = (status, body, headers = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    if (world.fault === 'silent') return;
    if (world.fault) return send(...world.fault);
    let value = world.flags[key];
    if (typeof value === 'function') value = value(context);
    if (value === undefined) {
      return send(404, { key, errorCode: 'FLAG_NOT_FOUND', errorDetails: 'none', metadata: {} });
    }
    send(200, { key, value, variant: value ? 'on' : 'off', reason: 'SPLIT', metadata: {} });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  world.url = `http://127.0.0.1:${server.address().port}`;
  world.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return world;
}
