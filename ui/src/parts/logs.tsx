import { useEffect, useRef, useState } from 'preact/hooks';
import { count } from '../core/format';
import { t } from '../i18n/text';
import { ApiError, UNREACHABLE, get } from '../live/api';
import { useLoad } from '../live/load';
import { lang } from '../live/settings';
import type { LogText, LogView, ReleaseView } from '../live/types';
import { Empty, Failed, Loading, Raw } from './states';

const EVERY_MS = 5_000;
const FOLLOW_MS = 2_000;
/** Most characters that stay on the page; the oldest go first. */
const KEPT = 200_000;

const KINDS = { step: 'logs.step', canary: 'side.canary', stable: 'side.stable' } as const;

/** What steps and versions printed. */
export function Logs({ release, live }: { release: ReleaseView; live: boolean }) {
  const base = `/api/v1/releases/${encodeURIComponent(release.release)}/logs`;
  const waits = release.place_in_line != null;
  const { data, error, again } = useLoad<LogView[]>(waits ? null : base, live ? EVERY_MS : null);
  const [chosen, choose] = useState<string | null>(null);
  if (error && !data) return <Failed error={error} again={again} />;
  if (!data) return waits ? <Empty title={t('logs.none')} /> : <Loading />;
  if (data.length === 0) return <Empty title={t('logs.none')} />;
  const shown = data.find((one) => one.log === chosen);
  return (
    <>
      <label class="find">
        {t('logs.choose')}
        <select value={chosen ?? ''} onChange={(event) => choose(event.currentTarget.value || null)}>
          <option value="">{t('logs.nothing')}</option>
          {data.map((one) => (
            <option key={one.log} value={one.log}>
              {name(one)}
            </option>
          ))}
        </select>
      </label>
      {shown && <Text key={shown.log} path={`${base}/${encodeURIComponent(shown.log)}`} live={live} title={name(shown)} />}
    </>
  );
}

function name(log: LogView): string {
  const attempt = log.attempt != null && log.attempt > 1 ? ` · ${t('health.attempt', { n: log.attempt })}` : '';
  const version = log.version ? ` ${log.version}` : '';
  const age = log.age > 0 ? ` · ${t('logs.older', { n: log.age })}` : '';
  return `${t(KINDS[log.kind])}${version} · ${log.title}${attempt}${age} (${count(log.size, lang.value)} B)`;
}

function Text({ path, live, title }: { path: string; live: boolean; title: string }) {
  const [text, setText] = useState('');
  const [error, setError] = useState<ApiError | null>(null);
  const [loaded, setLoaded] = useState(false);
  const box = useRef<HTMLPreElement>(null);
  useEffect(() => {
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let after = 0;
    let all = '';
    const once = async () => {
      try {
        for (;;) {
          const part = await get<LogText>(`${path}?after=${after}`, end.signal);
          // It was cut meanwhile: what is here does not go on.
          if (part.from < after) all = '';
          all = (all + part.text).slice(-KEPT);
          const more = part.next > after && part.next < part.size;
          after = part.next;
          if (!more) break;
        }
        setText(all);
        setError(null);
      } catch (failure) {
        if (end.signal.aborted) return;
        setError(failure instanceof ApiError ? failure : new ApiError(UNREACHABLE, '', String(failure), '', null));
      }
      setLoaded(true);
      if (live && !end.signal.aborted) timer = setTimeout(once, FOLLOW_MS);
    };
    void once();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [path, live]);
  useEffect(() => {
    if (box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text]);
  return (
    <>
      {error && <Failed error={error} />}
      {!loaded && <Loading />}
      {loaded && (
        <pre ref={box} class="log" tabIndex={0} role="region" aria-label={title} data-test="log">
          {text === '' ? t('logs.empty') : <Raw>{text}</Raw>}
        </pre>
      )}
    </>
  );
}
