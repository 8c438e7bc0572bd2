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
  ];
  for (const one of all) expect(parse(address(one))).toEqual(one);
  for (const odd of ['', '#', '#/nothing', '#/releases/']) expect(parse(odd)).toEqual({ page: 'services' });
  expect(parse('#/releases/%')).toEqual({ page: 'release', id: '%' });
});
