/** The page: asks for what there is every few seconds, and shows it. Texts are texts, never HTML. */
import type { ChosenView, EventView, PeerView, TunnelView, View } from '../src/app/ui/view.ts';
import { drawRates } from './chart.ts';
import { ago, bytes, clockTime } from './format.ts';
import { element, find } from './dom.ts';

const EVERY = 3000;

const wanted = { device: '', filter: '', page: 0 };
let timer = 0;
let asked = 0;

async function refresh(): Promise<void> {
  window.clearTimeout(timer);
  asked += 1;
  const mine = asked;
  try {
    const query = new URLSearchParams({ ...wanted, page: String(wanted.page) });
    if (wanted.device === '') query.delete('device');
    const answer = await fetch(`/view?${query}`);
    if (answer.status === 401) throw new Error('ask for a new link: ipipou ui prints it');
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const view = (await answer.json()) as View;
    // What was asked since is what counts.
    if (mine === asked) show(view);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const lost = error instanceof TypeError ? 'ipipou ui does not answer' : words;
    if (mine === asked) setConnection(lost, true);
  }
  if (mine === asked) timer = window.setTimeout(() => void refresh(), EVERY);
}

function setConnection(words: string, lost: boolean): void {
  const place = find('connection');
  place.textContent = words;
  place.classList.toggle('lost', lost);
}

function show(view: View): void {
  const { at, tunnels, chosen, events } = view;
  setConnection(`at ${clockTime(at)}`, false);
  find('tunnels').replaceChildren(
    ...(tunnels.length === 0
      ? [element('p', 'empty', 'No tunnel runs in this network namespace.')]
      : tunnels.map((tunnel) => tunnelButton(tunnel, chosen?.device))),
  );
  showTroubles(tunnels, chosen);
  drawRates(find('hour'), chosen?.rates ?? [], at);
  showPeers(chosen, at);
  find('events').replaceChildren(
    ...(events.length === 0
      ? [element('li', 'empty', 'Nothing has happened since this page’s server began.')]
      : events.map(eventLine)),
  );
}

function tunnelButton(tunnel: TunnelView, chosen: string | undefined): HTMLElement {
  const { device, name, role, plane, state, peerCount, establishedCount } = tunnel;
  const button = element('button', '', '');
  button.setAttribute('type', 'button');
  button.setAttribute('aria-pressed', String(device === chosen));
  const count =
    peerCount === undefined || peerCount === 1 ? state : `${establishedCount} of ${peerCount}`;
  const works = peerCount !== undefined && (establishedCount ?? 0) > 0;
  button.append(
    element('b', '', name),
    ' ',
    element('span', works ? 'good' : 'warn', count),
    element('small', '', `${role} on ${device}, ${plane}`),
  );
  button.addEventListener('click', () => {
    wanted.device = device;
    wanted.page = 0;
    void refresh();
  });
  return button;
}

function showTroubles(tunnels: readonly TunnelView[], chosen: ChosenView | undefined): void {
  const silent = tunnels.flatMap(({ device, why }) =>
    why === undefined ? [] : [`${device}: ${why}`],
  );
  const told = (chosen?.troubles ?? []).map(({ peer, words }) =>
    peer === undefined ? words : `${peer}: ${words}`,
  );
  const place = find('troubles');
  place.hidden = silent.length + told.length === 0;
  place.replaceChildren(
    element('h2', 'warn', 'Trouble'),
    ...[...silent, ...told].map((words) => element('p', '', words)),
  );
}

function showPeers(chosen: ChosenView | undefined, at: number): void {
  const peers = chosen?.peers ?? [];
  const body = find('peers').querySelector('tbody');
  body?.replaceChildren(
    ...(peers.length === 0
      ? [emptyRow(chosen?.total ? 'No peer has that in it.' : 'No peers are told of.')]
      : peers.map((peer) => peerRow(peer, at))),
  );
  find('pages').hidden = (chosen?.pages ?? 1) < 2;
  if (chosen === undefined) return;
  const { page, pages, matching, total } = chosen;
  wanted.page = page;
  const of = matching === total ? `${total} peers` : `${matching} of ${total} peers`;
  find('page').textContent = `page ${page + 1} of ${pages}, ${of}`;
  find('former').toggleAttribute('disabled', page === 0);
  find('next').toggleAttribute('disabled', page + 1 >= pages);
}

function emptyRow(words: string): HTMLElement {
  const row = element('tr', '', '');
  const cell = element('td', 'empty', words);
  cell.setAttribute('colspan', '7');
  row.append(cell);
  return row;
}

/** Who listens waits for a peer that need not be there. */
const PHASES: Readonly<Record<string, string>> = { established: 'good', listening: 'empty' };

function peerRow(peer: PeerView, at: number): HTMLElement {
  const { id, phase, endpoint, innerIps, heard, traffic, mtu, trouble } = peer;
  const name = element('td', '', '');
  name.append(element('b', '', id), ' ', element('span', 'inner', innerIps.join(' ')));
  const state = element('td', '', '');
  state.append(element('span', PHASES[phase] ?? 'warn', phase));
  if (trouble !== undefined) state.append(element('small', '', trouble));
  const cells: readonly [string, string, string][] = [
    ['endpoint', '', endpoint ?? '–'],
    ['heard', '', heard === undefined ? 'never' : ago(at - heard)],
    ['received', 'number', traffic ? bytes(traffic.rxBytes) : '–'],
    ['sent', 'number', traffic ? bytes(traffic.txBytes) : '–'],
    ['MTU', 'number', mtu === undefined ? '–' : String(mtu)],
  ];
  const row = element('tr', '', '');
  row.append(
    name,
    state,
    ...cells.map(([title, kind, text]) => {
      const cell = element('td', kind, text);
      cell.dataset['name'] = title;
      return cell;
    }),
  );
  return row;
}

const LEVELS: Readonly<Record<string, string>> = { error: 'bad', warn: 'warn' };

function eventLine({ at, level, words, device, peer, fields }: EventView): HTMLElement {
  const line = element('li', '', '');
  const who = peer === undefined ? device : `${device} ${peer}`;
  line.append(
    element('time', '', clockTime(at)),
    element('b', '', who),
    ' ',
    element('span', LEVELS[level] ?? '', words),
    ' ',
    element('small', '', fields),
  );
  return line;
}

function turn(by: number): void {
  wanted.page += by;
  void refresh();
}

find('former').addEventListener('click', () => turn(-1));
find('next').addEventListener('click', () => turn(1));
find('filter').addEventListener('input', ({ target }) => {
  wanted.filter = target instanceof HTMLInputElement ? target.value : '';
  wanted.page = 0;
  void refresh();
});
void refresh();
