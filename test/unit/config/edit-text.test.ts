import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  editText,
  notingRemoval,
  notingSet,
  type SectionEdits,
} from '../../../src/core/config/edit-text.ts';
import type { PeerOption } from '../../../src/core/config/edit-peers.ts';
import { parseConfigFile, parseSection } from '../../../src/core/config/parse-file.ts';
import type { PeerId } from '../../../src/core/config/tunnel-config.ts';

const FILE = `# our server
server
auth-secret words

# the laptop
peer laptop
  # as of May
  auth-token one
  tunl-peer-ip 10.0.0.1

# the office
peer office
auth-token two
tunl-peer-ip 10.0.0.2
# mtu 1400
`;

const none: SectionEdits = new Map();
const set = (peer: string, ...options: readonly PeerOption[]): string =>
  editText(FILE, notingSet(none, peer as PeerId, options), 'x.conf');
const removed = (peer: string): string =>
  editText(FILE, notingRemoval(none, peer as PeerId), 'x.conf');

describe('a change of a section', () => {
  test('puts the new value where the old one stood, as it was indented', () => {
    expect(set('laptop', ['auth-token', 'new'])).toBe(
      FILE.replace('  auth-token one', '  auth-token new'),
    );
  });

  test('puts what is new behind the last line that says something', () => {
    expect(set('office', ['keepalive', '5'], ['reply-on-auth-ok', ''])).toBe(
      FILE.replace('10.0.0.2\n', '10.0.0.2\nkeepalive 5\nreply-on-auth-ok\n'),
    );
  });

  test('takes a line away whose value is nothing', () => {
    const exposing = set('office', ['expose', 'tcp/80']);
    expect(exposing).toContain('\nexpose tcp/80\n');
    expect(
      editText(exposing, notingSet(none, 'office' as PeerId, [['expose', '']]), 'x.conf'),
    ).toBe(FILE);
  });

  test('replaces what says the same in another way, and what it puts an end to', () => {
    const text = set('office', ['auth-token-b64', 'AAAA']);
    expect(text).toContain('peer office\nauth-token-b64 AAAA\ntunl-peer-ip');
    const key = 'eQYNhD/Xwl6Zaq+z3QXDzNI77x8CEKqY1n5kt9bKeEI=';
    expect(set('office', ['auth-remote-pubkey-b64', key])).toBe(
      FILE.replace('auth-token two\n', '').replace(
        '10.0.0.2\n',
        `10.0.0.2\nauth-remote-pubkey-b64 ${key}\n`,
      ),
    );
  });

  test('of half of what a line says is refused, with the line', () => {
    const text = `${FILE}fou-remote 192.0.2.1:7\n`;
    const edits = notingSet(none, 'office' as PeerId, [['fou-remote-port', '8']]);
    expect(() => editText(text, edits, 'x.conf')).toThrow(/x\.conf:16: fou-remote says more/);
  });

  test('keeps the ends of lines of a file from elsewhere', () => {
    const text = 'server\r\npeer a\r\nauth-token x\r\n';
    const edits = notingSet(none, 'a' as PeerId, [['keepalive', '5']]);
    expect(editText(text, edits, 'x')).toBe(`${text}keepalive 5\r\n`);
  });
});

test('a new peer comes last, after an empty line, also where the last line has no end', () => {
  const section = '\npeer new\nauth-token t\n';
  expect(set('new', ['auth-token', 't'])).toBe(FILE + section);
  const cut = FILE.slice(0, -1);
  const edits = notingSet(none, 'new' as PeerId, [['auth-token', 't']]);
  expect(editText(cut, edits, 'x')).toBe(FILE + section);
});

test('a peer that goes takes its own comment along and no other', () => {
  expect(removed('laptop')).toBe(
    '# our server\nserver\nauth-secret words\n\n# the office\npeer office\nauth-token two\n' +
      'tunl-peer-ip 10.0.0.2\n# mtu 1400\n',
  );
  expect(removed('office')).toBe(FILE.slice(0, FILE.indexOf('\n# the office')));
  expect(removed('nobody')).toBe(FILE);
});

const OLD = '#peer old\n#auth-token o\n\n#tunl-peer-ip 10.0.0.9\n';

test.each([
  ['between two sections', `${OLD}\n# the office\npeer office\nauth-token two\n`],
  ['at the end of the file', OLD],
  ['at an end without a line end', OLD.slice(0, -1)],
])('what is commented out behind a peer that goes stays, %s', (_where, rest) => {
  const text = `server\n\npeer laptop\nauth-token one\n# mtu 1400\n\n${rest}`;
  const gone = editText(text, notingRemoval(none, 'laptop' as PeerId), 'x');
  expect(gone).toBe(`server\n\n${rest}${rest.endsWith('\n') ? '' : '\n'}`);
});

test('a peer that went and came again is written as it came', () => {
  const edits = notingSet(notingRemoval(none, 'laptop' as PeerId), 'laptop' as PeerId, [
    ['auth-token', 'again'],
  ]);
  const text = editText(FILE, edits, 'x');
  expect(text).not.toContain('as of May');
  expect(text.endsWith('\n\npeer laptop\nauth-token again\n')).toBe(true);
});

test('later changes of a peer win over earlier ones', () => {
  const once = notingSet(none, 'office' as PeerId, [
    ['keepalive', '5'],
    ['expose', 'tcp/1'],
  ]);
  const twice = notingSet(once, 'office' as PeerId, [['keepalive', '6']]);
  const text = editText(FILE, twice, 'x');
  expect(text).toContain('keepalive 6\n');
  expect(text).not.toContain('keepalive 5');
  expect(text).toContain('expose tcp/1\n');
});

const line = fc.constantFrom(
  ...['', '# words', '#peer x', '  # more', 'keepalive 9', '- expose tcp/9', 'auth-token t'],
  ...['tunl-peer-ip 10.9.9.9', 'nonsense', '\t', 'peerless 1', '--auth-token u'],
);
const sections = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 });
const anyFile = fc
  .tuple(fc.array(line), sections, fc.array(fc.array(line, { maxLength: 6 }), { minLength: 4 }))
  .map(([top, names, bodies]) =>
    [...top, ...names.flatMap((name, at) => [`peer ${name}`, ...(bodies[at] ?? [])])].join('\n'),
  );

/** What stands in each section, without the options that are changed. */
function said(text: string, but: readonly string[]): readonly string[] {
  return parseConfigFile(text, 'x').sections.flatMap((section) =>
    parseSection(section)
      .settings.filter(({ option }) => !but.includes(option.name))
      .map((setting) => `${section.id} ${setting.option.name} ${setting.text}`),
  );
}

test('whatever a file says, a change of one peer changes what it says of that alone', () => {
  const who = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  fc.assert(
    fc.property(anyFile, who, (text, peer) => {
      const edits = notingSet(none, peer as PeerId, [['keepalive', '77']]);
      const after = editText(text, edits, 'x');
      expect(said(after, ['keepalive'])).toEqual(said(text, ['keepalive']));
      const mine = parseConfigFile(after, 'x').sections.find(({ id }) => id === peer);
      const values = mine ? parseSection(mine).settings : [];
      expect(values.filter(({ option }) => option.name === 'keepalive')).toMatchObject([
        { text: '77' },
      ]);
      const comments = (all: string): number => all.split('\n').filter((l) => /#/.test(l)).length;
      expect(comments(after)).toBe(comments(text));
      const gone = editText(after, notingRemoval(none, peer as PeerId), 'x');
      const others = said(text, []).filter((words) => !words.startsWith(`${peer} `));
      expect(said(gone, [])).toEqual(others);
      expect(parseConfigFile(gone, 'x').settings.length).toBe(
        parseConfigFile(text, 'x').settings.length,
      );
    }),
  );
});
