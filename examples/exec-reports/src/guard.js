// Guards: a flag stands before a route.
//
// A blocked request is answered 503 with the body that clients of this service know. Where a
// route existed before the feature, it falls back: the handler runs without the feature.

/** Seconds after which a client may try again. */
const RETRY_AFTER = 60;

/** What a blocked request is told. */
export const MESSAGES = {
  execReportsEnabled: 'ExecReports feature not available',
  masterReportsEnabled: 'MasterReports feature not available',
  reportsApiEnabled: 'Reports API not available',
};

/** The only value of a header; none where it is missing, empty, or there twice. */
function only(request, name) {
  const values = request.headersDistinct[name] ?? [];
  const value = values.length === 1 ? values[0].trim() : '';
  return value !== '' && value.length <= 512 ? value : undefined;
}

/** Whose a request is. A request that names no tenant is nobody's, and never somebody
 * else's. Behind a login, this would be read from the session. */
export function whose(request) {
  return { tenant: only(request, 'x-tenant-id'), user: only(request, 'x-user-id') };
}

/** Runs `handler` only while the flag is on. */
export function block(flags, flag, handler) {
  return async (call) => {
    if (await flags.isOn(flag, call.whom)) return handler(call);
    return {
      status: 503,
      headers: { 'retry-after': String(RETRY_AFTER), 'x-esclusa-flag': 'off' },
      body: { error: MESSAGES[flag], code: 'FEATURE_DISABLED' },
    };
  };
}

/** Runs `handler` in any case, and tells it whether it may use the feature. */
export function fallback(flags, flag, handler) {
  return async (call) => handler({ ...call, feature: await flags.isOn(flag, call.whom) });
}
