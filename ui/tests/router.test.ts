import { expect, it } from 'vitest';
import { type Route, address, parse } from '../src/router';

it('reads every address that it writes', () => {
  const all: Route[] = [
    { page: 'services' },
    { page: 'release', id: '0192/a b' },
    { page: 'history', service: 'shop', outcome: 'back' },
    { page: 'history', service: '', outcome: '' },
    { page: 'delivery' },
    { page: 'inbox' },
    { page: 'flags', environment: '' },
    { page: 'flags', environment: 'pro duction' },
    { page: 'flag', flag: 'a/b?c', environment: 'staging' },
    { page: 'availability', tenant: '', user: '', environment: '' },
    { page: 'availability', tenant: 'a/b', user: 'ana@example.com', environment: 'production' },
  ];
  for (const one of all) expect(parse(address(one))).toEqual(one);
  for (const odd of ['', '#', '#/nothing', '#/releases/']) expect(parse(odd)).toEqual({ page: 'services' });
  expect(parse('#/releases/%')).toEqual({ page: 'release', id: '%' });
});
