import { t } from '../i18n/text';

export function Delivery() {
  return <h1>{t('nav.delivery')}</h1>;
}
