import type { Me, ReleaseView, ServiceView, StageView } from '../src/live/types';

export function stage(to: string, more: Partial<StageView> = {}): StageView {
  return { to, for_ms: 600_000, ...more };
}

export function release(more: Partial<ReleaseView> = {}): ReleaseView {
  return {
    release: 'r1',
    service: 'shop',
    version: '2.0',
    digest: 'sha256:new',
    stable: { name: '1.0', digest: 'sha256:old', verified: true },
    requested_by: 'ana-ci',
    requested_person: 'ana',
    requested_at_us: 1_000_000,
    plan_digest: 'sha256:plan',
    phase: 'stage 1',
    share: '25%',
    share_confirmed: true,
    stages: [stage('25%', { entered_at_us: 1, confirmed_at_us: 1 }), stage('100%')],
    tasks: [],
    missing_sign_offs: [],
    sign_offs: [],
    ...more,
  };
}

export function service(more: Partial<ServiceView> = {}): ServiceView {
  return {
    service: 'shop',
    stable: { name: '1.0', digest: 'sha256:old', verified: true },
    can_return: false,
    queue: [],
    traffic: [],
    release: release(),
    ...more,
  };
}

export function me(...roles: string[]): Me {
  return { actor: 'ben', roles };
}
