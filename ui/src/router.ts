/** Addresses of the page: behind `#`, so that the server needs to know one page only. */

import { signal } from '@preact/signals';

export type Route =
  | { page: 'services' }
  | { page: 'release'; id: string }
  | { page: 'history'; service: string; outcome: string }
  | { page: 'delivery' }
  | { page: 'inbox' }
  | { page: 'flags'; environment: string }
  | { page: 'flag'; flag: string; environment: string }
  | { page: 'availability'; tenant: string; user: string; environment: string };

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
    case 'flags': {
      const environment = asked.get('environment') ?? '';
      return parts[1] ? { page: 'flag', flag: parts[1], environment } : { page: 'flags', environment };
    }
    case 'availability':
      return {
        page: 'availability',
        tenant: parts[1] ?? '',
        user: asked.get('user') ?? '',
        environment: asked.get('environment') ?? '',
      };
    default:
  }
  return { page: 'services' };
}

export function address(route: Route): string {
  switch (route.page) {
    case 'release':
      return `#/releases/${encodeURIComponent(route.id)}`;
    case 'history':
      return `#/history${query({ service: route.service, outcome: route.outcome })}`;
    case 'flags':
      return `#/flags${query({ environment: route.environment })}`;
    case 'flag':
      return `#/flags/${encodeURIComponent(route.flag)}${query({ environment: route.environment })}`;
    case 'availability': {
      const tenant = route.tenant === '' ? '' : `/${encodeURIComponent(route.tenant)}`;
      return `#/availability${tenant}${query({ user: route.user, environment: route.environment })}`;
    }
    case 'services':
      return '#/';
    default:
      return `#/${route.page}`;
  }
}

/** What is not empty, as a query. */
function query(values: Record<string, string>): string {
  const all = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== ''));
  const text = all.toString();
  return text === '' ? '' : `?${text}`;
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
