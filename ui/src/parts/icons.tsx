/** Shapes that go with words; a screen reader hears the words alone. */

import type { Mood } from '../core/gates';

const SHAPES = {
  passed: 'M3 8.5l3.2 3.2L13 5',
  back: 'M6 3.5L2.5 7 6 10.5M3 7h6.5a3.5 3.5 0 010 7H6',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  hold: 'M8 2.5v6M8 12.2v.3',
  run: 'M4 3.5l7.5 4.5L4 12.5z',
  queue: 'M3 4.5h10M3 8h10M3 11.5h6',
  fail: 'M4 4l8 8M12 4l-8 8',
  closed: 'M4 8h8',
  clock: 'M8 4.5V8l2.5 1.8M8 2a6 6 0 100 12A6 6 0 008 2z',
  unknown: 'M6 6a2 2 0 113 1.7c-.7.5-1 .9-1 1.8M8 12.2v.2',
} as const;

export type Shape = keyof typeof SHAPES;

export function Icon({ shape }: { shape: Shape }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={SHAPES[shape]} />
    </svg>
  );
}

export const MOOD_SHAPES: Readonly<Record<Mood, Shape>> = {
  queued: 'queue',
  running: 'run',
  held: 'hold',
  paused: 'pause',
  returning: 'back',
  promoted: 'passed',
  back: 'back',
  refused: 'closed',
  failed: 'fail',
};

/** A ship; its bow points to the right. */
export function Ship({ turned }: { turned: boolean }) {
  return (
    <svg class={turned ? 'ship turned' : 'ship'} viewBox="0 0 64 40" aria-hidden="true" focusable="false">
      <path class="hull" d="M4 26h54c1.5 0 2.2 1.5 1.3 2.7L52.5 37c-.6.7-1.4 1-2.2 1H13.7c-1 0-2-.5-2.5-1.4L3 27.8C2.5 27 3 26 4 26z" />
      <path class="deck" d="M16 16h20v8H16zM40 19h9v5h-9z" />
      <path class="deck" d="M20 8h5v6h-5z" />
    </svg>
  );
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="walls" d="M6 6v20M26 6v20" />
      <path class="left" d="M8 8.5L15.5 16 8 23.5" />
      <path class="right" d="M24 8.5L16.5 16 24 23.5" />
    </svg>
  );
}
