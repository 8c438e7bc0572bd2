// A receiver of webhooks. Checks each signature with the library of the standard, and
// that a body of which one byte was changed is refused. Prints one JSON line a request.
//
//   node webhook.mjs PORT SECRET...      (port 0: any)
//   POST /__mode {"status": 503, "headers": {}} | {"hang": true}: how it answers from now on
import http from 'node:http';
import { Webhook } from 'standardwebhooks';

const [port, ...secrets] = process.argv.slice(2);
let mode = { status: 200 };

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function verifies(secret, body, headers) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

function changed(body) {
  const bytes = Buffer.from(body);
  const at = bytes.indexOf('"title":"') + '"title":"'.length;
  bytes[at] ^= 1;
  return bytes.toString();
}

const server = http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const body = Buffer.concat(parts).toString();
    if (request.url === '/__mode') {
      mode = JSON.parse(body);
      response.writeHead(204).end();
      return;
    }
    tell({
      id: request.headers['webhook-id'],
      content_type: request.headers['content-type'],
      verified: secrets.map((secret) => verifies(secret, body, request.headers)),
      changed_verified: secrets.map((secret) => verifies(secret, changed(body), request.headers)),
      answered: mode.hang ? null : mode.status,
      event: JSON.parse(body),
    });
    if (!mode.hang) {
      response.writeHead(mode.status, mode.headers ?? {}).end('said by the receiver');
    }
  });
});

server.listen(Number(port), '127.0.0.1', () => tell({ ready: server.address().port }));
