import { t } from '../i18n/text';
import type { ReleaseView } from '../live/types';
import { Icon } from './icons';
import { Raw, Time } from './states';

/** Who has to agree, and who has. */
export function SignOffs({ release }: { release: ReleaseView }) {
  return (
    <ul class="health">
      {release.sign_offs.map((one) => (
        <li key={one.role} data-signed={one.by != null}>
          <span class={`health-word ${one.by == null ? 'is-busy' : 'is-pass'}`}>
            <Icon shape={one.by == null ? 'clock' : 'passed'} />
            {one.by == null ? t('sign.missing') : t('sign.given')}
          </span>
          <span>
            <b>
              <Raw>{one.role}</Raw>
            </b>
            {one.by != null && (
              <small>
                {' '}
                {t('timeline.by', { who: one.by })} · <Time us={one.at_us} />
              </small>
            )}
            {one.by == null && one.not_by_author && <small> {t('sign.notAuthor')}</small>}
            {one.comment && (
              <small class="detail">
                <Raw>{one.comment}</Raw>
              </small>
            )}
            {one.items.length > 0 && (
              <ul class="items">
                {one.items.map((item) => (
                  <li key={item.item}>
                    <Icon shape={item.done ? 'passed' : 'closed'} />
                    <span class="aloud">{t(item.done ? 'sign.itemDone' : 'sign.itemOpen')} </span>
                    <Raw>{item.item}</Raw>
                  </li>
                ))}
              </ul>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}
