import type { Role } from './chart-input.ts';

/** Colours of one scheme; contrast of text to ground is at least 7 to 1. */
export type Scheme = {
  readonly name: 'light' | 'dark';
  readonly ground: string;
  readonly text: string;
  readonly quiet: string;
  readonly grid: string;
  readonly roles: Readonly<Record<Role, string>>;
  /** For lines, which need more than one of a role. */
  readonly shades: Readonly<Record<Role, readonly string[]>>;
};

/** The grounds are those of GitHub's pages. */
export const SCHEMES: readonly Scheme[] = [
  {
    name: 'light',
    ground: '#ffffff',
    text: '#1f2328',
    quiet: '#59636e',
    grid: '#d8dee4',
    roles: { bare: '#6e7781', ipipou: '#0969da', plain: '#7fb5a8', encrypted: '#d4883a' },
    shades: {
      bare: ['#6e7781'],
      ipipou: ['#0969da', '#54aeff', '#0a3069'],
      plain: ['#1a7f64', '#57ab8f', '#94c97a', '#4d7d2d', '#00a5a5', '#86b6a8', '#2f5d50'],
      encrypted: ['#bc4c00', '#e09b3d', '#a40e6b', '#d1547a'],
    },
  },
  {
    name: 'dark',
    ground: '#0d1117',
    text: '#f0f6fc',
    quiet: '#9198a1',
    grid: '#30363d',
    roles: { bare: '#8b949e', ipipou: '#4493f8', plain: '#3f8574', encrypted: '#c9793b' },
    shades: {
      bare: ['#9198a1'],
      ipipou: ['#4493f8', '#b6e3ff', '#8b83ff'],
      plain: ['#3fb950', '#7ee2b8', '#2ea09a', '#a5d15b', '#56d4dd', '#5fae94', '#c3e6cb'],
      encrypted: ['#f0883e', '#f2cc60', '#f778ba', '#ff9492'],
    },
  },
];
