import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { UNKNOWN, clock, count, decimal, millis, percent, span } from '../core/format';
import { type Which, columns, gapSeconds, lines, rows, total } from '../core/series';
import { type Key, t } from '../i18n/text';
import { useLoad } from '../live/load';
import { isDark, lang } from '../live/settings';
import { now } from '../live/state';
import type { Bucket, ReleaseView, Series } from '../live/types';
import { Empty, Failed, Loading, Raw } from './states';

const POINTS = 240;
const EVERY_MS = 2_000;
const ROWS = 30;

const CHARTS: readonly { which: Which; title: Key; unit: string }[] = [
  { which: 'requests', title: 'chart.requests', unit: '/s' },
  { which: 'errors', title: 'chart.errors', unit: '%' },
  { which: 'p95', title: 'chart.p95', unit: 'ms' },
];

export function Charts({ release, live }: { release: ReleaseView; live: boolean }) {
  const waits = release.place_in_line != null;
  const path = `/api/v1/releases/${encodeURIComponent(release.release)}/series?points=${POINTS}`;
  const { data, error, again } = useLoad<Series>(waits ? null : path, live ? EVERY_MS : null);
  if (waits) return <Empty title={t('chart.queued')} />;
  if (error && !data) return <Failed error={error} again={again} />;
  if (!data) return <Loading />;
  if (data.unknown_because) {
    return (
      <Empty title={t('chart.unknown')}>
        <p>
          <Raw>{data.unknown_because}</Raw>
        </p>
      </Empty>
    );
  }
  if (!data.buckets.some((one) => one.counted_s > 0)) return <Empty title={t('chart.none')} />;
  const gap = gapSeconds(data);
  return (
    <>
      {error && <Failed error={error} />}
      <Legend release={release} />
      <div class={error ? 'charts old' : 'charts'}>
        {CHARTS.map(({ which, title, unit }) => (
          <Chart key={which} series={data} which={which} title={t(title)} unit={unit} />
        ))}
      </div>
      <Totals series={data} release={release} />
      {gap > 5 && <p class="soft">{t('chart.gaps', { time: span(gap) })}</p>}
      <details>
        <summary>{t('chart.table')}</summary>
        <Table series={data} release={release} />
      </details>
    </>
  );
}

function Legend({ release }: { release: ReleaseView }) {
  return (
    <p class="legend">
      {release.stable && (
        <span>
          <span class="key stable" aria-hidden="true" />
          {t('side.stable')} <b>{release.stable.name}</b>
        </span>
      )}
      <span>
        <span class="key canary" aria-hidden="true" />
        {t('side.canary')} <b>{release.version}</b>
      </span>
    </p>
  );
}

function Chart({ series, which, title, unit }: { series: Series; which: Which; title: string; unit: string }) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(series);
  latest.current = series;
  const dark = isDark();
  const tongue = lang.value;
  useEffect(() => {
    const at = box.current;
    if (!at) return;
    const tell = (words: string) => {
      if (readout.current) readout.current.textContent = words;
    };
    const made = new uPlot(options(at, unit, () => latest.current, tell), columns(latest.current, which), at);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize(size(at)));
    watch.observe(at);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [which, unit, dark, tongue]);
  useEffect(() => {
    plot.current?.setData(columns(series, which));
  }, [series, which]);
  return (
    <figure class="chart">
      <figcaption>
        {title} <span ref={readout} class="readout" aria-hidden="true" />
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={t('chart.image', { title })} />
    </figure>
  );
}

const size = (at: HTMLElement) => ({ width: Math.max(160, at.clientWidth), height: 160 });

function options(
  at: HTMLElement,
  unit: string,
  series: () => Series,
  tell: (words: string) => void,
): uPlot.Options {
  const styles = getComputedStyle(at);
  const color = (name: string) => styles.getPropertyValue(name).trim();
  const [ink, rule, stable, canary] = [color('--soft'), color('--rule'), color('--stable'), color('--canary')];
  const font = '12px "IBM Plex Sans", sans-serif';
  const axis = { stroke: ink, font, grid: { stroke: rule, width: 1 }, ticks: { show: false } };
  const time = new Intl.DateTimeFormat(lang.value, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const exact = new Intl.DateTimeFormat(lang.value, { timeStyle: 'medium', hourCycle: 'h23' });
  return {
    ...size(at),
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    padding: [10, 8, 0, 0],
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.15 : 1] } },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 28,
        space: 70,
        values: (_plot, marks, _axis, _space, step) =>
          marks.map((one) => (step < 60 ? exact : time).format(new Date(one * 1000))),
      },
      {
        ...axis,
        size: 58,
        space: 34,
        values: (_plot, marks) => marks.map((one) => `${label(one)} ${unit}`),
      },
    ],
    series: [
      {},
      { label: 'stable', stroke: stable, width: 2, points: { show: false } },
      { label: 'canary', stroke: canary, width: 2.5, dash: [6, 3], points: { show: false } },
    ],
    hooks: {
      draw: [(plot) => drawLines(plot, series(), rule, ink)],
      setCursor: [(plot) => tell(under(plot, unit, exact))],
    },
  };
}

function label(value: number): string {
  return new Intl.NumberFormat(lang.value, { maximumFractionDigits: 2, notation: 'compact' }).format(value);
}

/** What both lines say under the pointer. */
function under(plot: uPlot, unit: string, exact: Intl.DateTimeFormat): string {
  const index = plot.cursor.idx;
  const at = index == null ? undefined : plot.data[0][index];
  if (index == null || at === undefined) return '';
  const value = (line: number) => {
    const found = plot.data[line]?.[index];
    return found == null ? UNKNOWN : `${label(found)} ${unit}`;
  };
  const both = `${t('side.stable')} ${value(1)} · ${t('side.canary')} ${value(2)}`;
  return `${exact.format(new Date(at * 1000))} · ${both}`;
}

/** Where a stage began, somebody acted, or it went back. */
function drawLines(plot: uPlot, series: Series, rule: string, ink: string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const mark of lines(series)) {
    const x = plot.valToPos(mark.at_ms / 1000, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = mark.kind === 'stage' ? rule : ink;
    ctx.setLineDash(mark.kind === 'stage' ? [] : [2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

/** Everything since the release began, to the last request. */
function Totals({ series, release }: { series: Series; release: ReleaseView }) {
  const all = [
    ['stable', release.stable?.name] as const,
    ['canary', release.version] as const,
  ].filter(([, name]) => name !== undefined);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t('chart.totals')}>
      <table class="sides" data-test="totals">
        <caption>{t('chart.totals')}</caption>
        <thead>
          <tr>
            <th scope="col">{t('num.version')}</th>
            <th scope="col">{t('num.requests')}</th>
            <th scope="col">{t('num.failures')}</th>
            <th scope="col">{t('num.errors')}</th>
          </tr>
        </thead>
        <tbody>
          {all.map(([side, name]) => {
            const sum = total(series, side);
            const fraction = sum && sum.requests > 0 ? sum.errors / sum.requests : null;
            return (
              <tr key={side} data-side={side}>
                <th scope="row">
                  <span class={`key ${side}`} aria-hidden="true" />
                  {t(side === 'stable' ? 'side.stable' : 'side.canary')} <b>{name}</b>
                </th>
                <td>
                  <data value={sum?.requests ?? ''}>{count(sum?.requests, lang.value)}</data>
                </td>
                <td>
                  <data value={sum?.errors ?? ''}>{count(sum?.errors, lang.value)}</data>
                </td>
                <td>{percent(fraction, lang.value)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** The charts' numbers for whoever does not see them. */
function Table({ series, release }: { series: Series; release: ReleaseView }) {
  const shown = rows(series, ROWS);
  const names = [release.stable?.name ?? t('side.stable'), release.version];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t('chart.table')}>
      <table>
        <thead>
          <tr>
            <th scope="col">{t('chart.time')}</th>
            <th scope="col">{t('num.share')}</th>
            {names.map((name) => (
              <>
                <th scope="col">{`${name}: ${t('chart.requests')}`}</th>
                <th scope="col">{`${name}: ${t('num.errors')}`}</th>
                <th scope="col">{`${name}: p95`}</th>
              </>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((one) => (
            <TableRow key={one.start_ms} bucket={one} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function TableRow({ bucket }: { bucket: Bucket }) {
  const one = lang.value;
  return (
    <tr>
      <th scope="row">{clock(bucket.start_ms * 1000, now.value, one)}</th>
      <td>{percent(bucket.share_percent / 100, one)}</td>
      {[bucket.stable, bucket.canary].map((side) => (
        <>
          <td>
            {decimal(side && bucket.counted_s > 0 ? side.requests / bucket.counted_s : null, one)} /s
          </td>
          <td>{percent(side?.error_percent == null ? null : side.error_percent / 100, one)}</td>
          <td>{millis(side?.p95_ms, one)}</td>
        </>
      ))}
    </tr>
  );
}
