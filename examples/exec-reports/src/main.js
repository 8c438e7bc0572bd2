// Starts the service: node src/main.js PORT

import { app } from './app.js';
import { planted } from './faults.js';
import { connect } from './flags.js';

const port = Number(process.argv[2] ?? process.env.PORT ?? 3000);
const faults = planted(process.env.FAULTS);
const flags = await connect({
  url: process.env.OFREP_ENDPOINT ?? 'http://127.0.0.1:8016',
  token: process.env.FLAGS_TOKEN,
});
const server = app({ flags, faults });
server.listen(port, '127.0.0.1', () => {
  console.log(`exec-reports listens on 127.0.0.1:${server.address().port}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    // What is under way is answered; connections that only wait are closed.
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}
