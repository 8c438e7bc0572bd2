// The six flags, asked through OpenFeature. One question for each flag that a request needs;
// the data plane answers from memory. Whatever goes wrong, the safe value counts: off.

import { OFREPProvider } from '@openfeature/ofrep-provider';
import { ErrorCode, OpenFeature } from '@openfeature/server-sdk';

export const FLAGS = [
  'execReportsEnabled',
  'masterReportsEnabled',
  'reportsApiEnabled',
  'reportsUiEnabled',
  'consolidationEnabled',
  'councilSynthesisEnabled',
];

/** Longest wait for an answer about a flag, in milliseconds. */
const PATIENCE = 500;

/** Asks the flag server at `url`. Each connection has a provider of its own, by `domain`. */
export async function connect({ url, token, domain = 'reports', warn = console.warn }) {
  const provider = new OFREPProvider({
    baseUrl: url,
    headers: token ? [['Authorization', `Bearer ${token}`]] : [],
    // The provider itself waits for ever.
    fetchImplementation: (input, init) =>
      fetch(input, { ...init, signal: AbortSignal.timeout(PATIENCE) }),
  });
  await OpenFeature.setProviderAndWait(domain, provider);
  const client = OpenFeature.getClient(domain);
  const warned = new Set();

  return {
    /** Whether a flag is on for whom a request is from; off for nobody. */
    async isOn(flag, whom) {
      if (!FLAGS.includes(flag)) throw new Error(`there is no flag ${flag}`);
      if (!whom?.tenant) return false;
      const context = { targetingKey: whom.user ?? whom.tenant, tenant: whom.tenant };
      if (whom.user) context.user = whom.user;
      const asked = await client.getBooleanDetails(flag, false, context);
      const cause = asked.errorCode && `${flag}: ${asked.errorCode} ${asked.errorMessage ?? ''}`;
      if (cause && asked.errorCode !== ErrorCode.FLAG_NOT_FOUND && !warned.has(cause)) {
        // Once each: a flag server that is away is no reason to fill a disk.
        if (warned.size < 100) warned.add(cause);
        warn(`flags: the safe value counts: ${cause}`);
      }
      return asked.value === true;
    },
  };
}
