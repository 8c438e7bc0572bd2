// The released web provider, with the usual EventSource for Node. It says when its provider
// says that flags changed; each line on its input asks for all flags.
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { EventSource } from 'eventsource';
import { createInterface } from 'node:readline';

globalThis.EventSource = EventSource;
const [baseUrl, token, context] = process.argv.slice(2);
const headers = [['Authorization', `Bearer ${token}`]];
await OpenFeature.setContext(JSON.parse(context));
// Neither polls nor keeps answers: only the event stream tells it of a change.
const provider = new OFREPWebProvider({ baseUrl, headers, pollInterval: 0, cacheMode: 'disabled' });
const client = OpenFeature.getClient();
client.addHandler(ProviderEvents.ConfigurationChanged, () => say({ changed: look() }));
await OpenFeature.setProviderAndWait(provider);
say({ ready: true });

function say(line) {
  console.log(JSON.stringify(line));
}

function look() {
  return {
    exec: client.getBooleanDetails('exec', false),
    plain: client.getBooleanDetails('plain', false),
    // Not for browsers.
    ten: client.getNumberDetails('ten', -1),
  };
}

for await (const _ of createInterface({ input: process.stdin })) {
  say(look());
}
