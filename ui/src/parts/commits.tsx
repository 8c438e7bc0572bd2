import { t } from '../i18n/text';
import type { ReleaseView } from '../live/types';
import { Raw, Time } from './states';

/** What is new in the version, where its checkout is known. */
export function Commits({ release }: { release: ReleaseView }) {
  const source = release.source;
  if (!source) return null;
  const commits = source.commits ?? [];
  const left = source.left_out ?? 0;
  return (
    <section class="card" aria-labelledby="commits">
      <h2 id="commits">{t('commits.title')}</h2>
      <p>
        <code>{source.commit.slice(0, 12)}</code> {source.branch && <Raw>{source.branch}</Raw>}{' '}
        <span class="soft">
          <Time us={source.committed_at_us} />
        </span>
      </p>
      <ul class="commits">
        {commits.map((one) => (
          <li key={one.hash}>
            <code>{one.hash}</code> <Raw>{one.subject}</Raw>{' '}
            <small class="soft">
              <Raw>{one.author}</Raw>
            </small>
          </li>
        ))}
      </ul>
      {left > 0 && <p class="soft">{t('commits.more', { n: left })}</p>}
    </section>
  );
}
