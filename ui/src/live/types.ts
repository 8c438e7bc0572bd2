/** The API's shapes, from its checked-in description. */

import type { TurnsFlags } from './flags-api';
import type { components } from './schema';

type Schemas = components['schemas'];

export type ApiErrorBody = Schemas['ApiError'];
export type CanReturn = Schemas['CanReturn'];
export type EventView = Schemas['EventView'] & { payload?: unknown };
export type InboxEntry = Schemas['InboxEntryView'];
export type InboxView = Schemas['InboxView'];
export type InstanceView = Schemas['InstanceView'];
export type Me = Schemas['Me'];
export type ReleaseView = Schemas['ReleaseView'] & Required<Pick<Schemas['ReleaseView'], 'sign_offs'>> & TurnsFlags;
export type ServiceView = Omit<Schemas['ServiceView'], 'release'> & { release?: ReleaseView | null };
export type SignOffView = Schemas['SignOffView'];
export type StageView = Schemas['StageView'];
export type TaskView = Schemas['TaskView'];
export type VersionTraffic = Schemas['VersionTraffic'];
export type Bucket = Schemas['Bucket'];
export type LogText = Schemas['LogText'];
export type LogView = Schemas['LogView'];
export type Mark = Schemas['Mark'];
export type Series = Schemas['Series'];
export type SeriesSide = Schemas['Side'];
export type Dora = Schemas['Dora'];
export type DoraFigures = Schemas['DoraFigures'];
export type {
  ChangedView,
  ExplainedView,
  FlagEntryView,
  FlagHere,
  FlagNeeds,
  FlagRow,
  FlagStreamView,
  FlagView,
  FlagsKilledView,
  FlagsLiftedView,
  FlagsView,
  PropagationView,
  WhoView,
  WouldChangeView,
} from './flags-api';
