// The released server provider. Each line on its input asks for all flags; it answers with one
// line of JSON.
import { OFREPProvider } from '@openfeature/ofrep-provider';
import { OpenFeature } from '@openfeature/server-sdk';
import { createInterface } from 'node:readline';

const [baseUrl, token] = process.argv.slice(2);
const headers = [['Authorization', `Bearer ${token}`]];
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers }));
const client = OpenFeature.getClient();
console.log(JSON.stringify({ ready: true }));

for await (const line of createInterface({ input: process.stdin })) {
  const context = JSON.parse(line);
  console.log(
    JSON.stringify({
      exec: await client.getBooleanDetails('exec', false, context),
      ten: await client.getNumberDetails('ten', -1, context),
      tenth: await client.getNumberDetails('tenth', -1, context),
      word: await client.getStringDetails('word', 'default', context),
      thing: await client.getObjectDetails('thing', {}, context),
      unused: await client.getBooleanDetails('unused', true, context),
      odd: await client.getBooleanDetails('weird+key/with:chars', false, context),
      missing: await client.getBooleanDetails('missing', true, context),
    }),
  );
}
