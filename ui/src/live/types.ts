/** The API's shapes, from its checked-in description. */

import type { Change, Explanation, FlagDefinition, WouldChange } from './flags';
import type { components } from './schema';

type Schemas = components['schemas'];

export type ApiErrorBody = Schemas['ApiError'];
export type CanReturn = Schemas['CanReturn'];
export type EventView = Schemas['EventView'] & { payload?: unknown };
export type InboxEntry = Schemas['InboxEntryView'];
export type InboxView = Schemas['InboxView'];
export type InstanceView = Schemas['InstanceView'];
export type Me = Schemas['Me'];
export type ReleaseView = Schemas['ReleaseView'] &
  Required<Pick<Schemas['ReleaseView'], 'sign_offs'>>;
export type ServiceView = Omit<Schemas['ServiceView'], 'release'> & { release?: ReleaseView | null };
export type SignOffView = Schemas['SignOffView'];
export type SinkView = Schemas['SinkView'];
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
export type FlagHere = Schemas['FlagHere'];
export type FlagNeeds = Schemas['FlagNeeds'];
export type FlagRow = Schemas['FlagRow'];
export type FlagStreamView = Schemas['FlagStreamView'];
export type FlagsKilledView = Schemas['FlagsKilledView'];
export type FlagsLiftedView = Schemas['FlagsLiftedView'];
export type FlagsView = Schemas['FlagsView'];
export type MeasuredView = Schemas['MeasuredView'];
export type PropagationView = Schemas['PropagationView'];
export type WhoView = Schemas['WhoView'];

/** The description says `object` where definitions and values of any shape are carried. */
type Carries<Name extends keyof Schemas, Parts> = Omit<Schemas[Name], keyof Parts> & Parts;
export type ChangedView = Carries<'ChangedView', { changes: Change[] }>;
export type ExplainedView = Carries<'ExplainedView', { explanation: Explanation }>;
export type FlagEntryView = Carries<'FlagEntryView', { changes: Change[] }>;
export type FlagView = Carries<'FlagView', { definition: FlagDefinition }>;
export type WouldChangeView = Carries<'WouldChangeView', { changed: WouldChange[] }>;
