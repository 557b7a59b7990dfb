import type { Sample } from '../src/app/ui/history.ts';
import { drawn, element } from './dom.ts';
import { bitRate } from './format.ts';

const MINUTE = 60_000;
/** What a chart may be of, in minutes: the least that has all that is known. */
const SPANS = [5, 15, 30, 60] as const;
const WIDTH = 400;
const HEIGHT = 120;
/** Room for the words below. */
const FLOOR = 104;
const CEILING = 14;

type Line = {
  readonly name: string;
  readonly kind: string;
  readonly value: (sample: Sample) => number;
};

const perSecond = (value: number): string =>
  `${value < 10 ? value.toFixed(1) : Math.round(value)}/s`;

/** Two charts of one hour: what was carried, and what was not taken. */
export function drawRates(place: HTMLElement, rates: readonly Sample[], now: number): void {
  place.replaceChildren(
    chart(
      rates,
      now,
      [
        { name: 'received', kind: 'received', value: ({ rxBytes }) => rxBytes },
        { name: 'sent', kind: 'sent', value: ({ txBytes }) => txBytes },
      ],
      bitRate,
    ),
    chart(
      rates,
      now,
      [{ name: 'packets refused', kind: 'bad', value: ({ refused }) => refused }],
      perSecond,
    ),
  );
}

function chart(
  rates: readonly Sample[],
  now: number,
  lines: readonly Line[],
  format: (value: number) => string,
): HTMLElement {
  const most = Math.max(0, ...lines.flatMap(({ value }) => rates.map(value)));
  const known = now - (rates[0]?.at ?? now);
  const span = SPANS.find((minutes) => minutes * MINUTE >= known) ?? 60;
  const svg = drawn('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' });
  svg.setAttribute('aria-label', lines.map(({ name }) => name).join(', '));
  svg.append(
    ...[FLOOR, (FLOOR + CEILING) / 2, CEILING].map((y) =>
      drawn('line', { x1: '0', x2: String(WIDTH), y1: String(y), y2: String(y) }),
    ),
    label(0, CEILING - 3, 'start', format(most)),
    label(0, HEIGHT - 3, 'start', `${span} min ago`),
    label(WIDTH, HEIGHT - 3, 'end', 'now'),
  );
  for (const { kind, value } of lines) {
    const points = rates.map((sample) => {
      const x = WIDTH * (1 - (now - sample.at) / (span * MINUTE));
      const y = FLOOR - (most === 0 ? 0 : ((FLOOR - CEILING) * value(sample)) / most);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    svg.append(drawn('polyline', { class: kind, points: points.join(' ') }));
  }
  const figure = element('figure', '', '');
  const caption = element('figcaption', '', '');
  const last = rates.at(-1);
  for (const { name, kind, value } of lines) {
    const entry = element('span', '', '');
    entry.append(element('b', kind, name), ` ${last ? format(value(last)) : 'not yet known'}`);
    caption.append(entry);
  }
  figure.append(caption, svg);
  return figure;
}

function label(x: number, y: number, anchor: string, text: string): SVGElement {
  const made = drawn('text', { x: String(x), y: String(y), 'text-anchor': anchor });
  made.textContent = text;
  return made;
}
