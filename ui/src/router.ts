/** Addresses of the page: behind `#`, so that the server needs to know one page only. */

import { signal } from '@preact/signals';

export type Route =
  | { page: 'services' }
  | { page: 'release'; id: string }
  | { page: 'history'; service: string; outcome: string }
  | { page: 'delivery' }
  | { page: 'inbox' };

export function parse(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const parts = path.split('/').map(decode);
  const asked = new URLSearchParams(query);
  switch (parts[0]) {
    case 'releases':
      if (parts[1]) return { page: 'release', id: parts[1] };
      break;
    case 'history':
      return { page: 'history', service: asked.get('service') ?? '', outcome: asked.get('outcome') ?? '' };
    case 'delivery':
      return { page: 'delivery' };
    case 'inbox':
      return { page: 'inbox' };
    default:
  }
  return { page: 'services' };
}

export function address(route: Route): string {
  switch (route.page) {
    case 'release':
      return `#/releases/${encodeURIComponent(route.id)}`;
    case 'history': {
      const asked = new URLSearchParams();
      if (route.service) asked.set('service', route.service);
      if (route.outcome) asked.set('outcome', route.outcome);
      const query = asked.toString();
      return query ? `#/history?${query}` : '#/history';
    }
    case 'services':
      return '#/';
    default:
      return `#/${route.page}`;
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const start = typeof location === 'undefined' ? '' : location.hash;
export const route = signal<Route>(parse(start));

export function go(to: Route): void {
  location.hash = address(to);
}

if (typeof window !== 'undefined') {
  window.addEventListener('hashchange', () => {
    route.value = parse(location.hash);
    window.scrollTo(0, 0);
  });
}
