/** Counts of both versions side by side. */

import type { ReleaseView, ServiceView, VersionTraffic } from '../live/types';

export interface Sides {
  stable: Side | null;
  canary: Side | null;
  /** The canary's part of all requests that were counted. */
  liveShare: number | null;
}

export interface Side {
  name: string;
  traffic: VersionTraffic | null;
}

/** The versions of a service now. The release's version is the canary until it is stable. */
export function sides(service: ServiceView): Sides {
  const release = service.release ?? null;
  const running = release !== null && release.outcome == null && release.phase !== 'promoted';
  const of = (digest: string | null | undefined) =>
    digest == null ? null : (service.traffic.find((one) => one.version === digest) ?? null);
  const stable = service.stable ? { name: service.stable.name, traffic: of(service.stable.digest) } : null;
  const canary = release && running ? { name: release.version, traffic: of(release.digest) } : null;
  return { stable, canary, liveShare: measuredShare(stable?.traffic, canary?.traffic) };
}

export function measuredShare(
  stable: VersionTraffic | null | undefined,
  canary: VersionTraffic | null | undefined,
): number | null {
  const all = (stable?.requests ?? 0) + (canary?.requests ?? 0);
  return all === 0 ? null : (canary?.requests ?? 0) / all;
}

/** Versions that serve and are neither: one that was returned from, one of before. */
export function others(service: ServiceView): VersionTraffic[] {
  const known = [service.stable?.digest, service.release?.digest];
  return service.traffic.filter((one) => !known.includes(one.version) && one.requests > 0);
}

export function isRunning(release: ReleaseView | null | undefined): boolean {
  return release != null && release.outcome == null && release.phase !== 'promoted';
}
