import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatRequest,
  parseRequest,
  REQUESTS,
  SYNC_BEGINS,
  whyForeignReply,
  type AnyRequest,
} from '../../../src/core/management/requests.ts';

/** One of each. */
const ALL: { readonly [Name in AnyRequest['request']]: AnyRequest } = {
  status: { request: 'status' },
  peers: { request: 'peers', after: 'a' },
  peer: { request: 'peer', peer: 'a' },
  events: { request: 'events' },
  reauthenticate: { request: 'reauthenticate' },
  reload: { request: 'reload' },
  save: { request: 'save' },
  'set-peer': { request: 'set-peer', peer: 'a', options: [['keepalive', '5']] },
  'add-peer': { request: 'add-peer', peer: 'a', options: [['keepalive', '5']] },
  revoke: { request: 'revoke', peer: 'a' },
  'remove-peer': { request: 'remove-peer', peer: 'a' },
  'set-verb': { request: 'set-verb', verb: 3 },
  sync: { request: 'sync', source: '/a', text: 'peer a\n' },
};

describe('a request', () => {
  test.each(Object.values(ALL))('$request is read as it was written', (request) => {
    expect(parseRequest(formatRequest(request), 'root')).toEqual({ asked: request });
  });

  test.each(Object.values(ALL))('$request without a version is one of the first', (request) => {
    expect(parseRequest(JSON.stringify(request), 'root')).toEqual({ asked: request });
  });

  test('only those that tell are answered to who may only read', () => {
    const answered = Object.values(ALL).filter(
      (request) => 'asked' in parseRequest(formatRequest(request), 'read'),
    );
    expect(answered.map(({ request }) => request)).toEqual(['status', 'peers', 'peer', 'events']);
    expect(parseRequest(formatRequest(ALL.reload), 'read')).toEqual({
      refused: 'reload is for root alone: this socket only tells',
    });
    expect(Object.keys(REQUESTS)).toEqual(Object.keys(ALL));
  });

  test('that brings a file says so first', () => {
    expect(formatRequest(ALL.sync).startsWith(SYNC_BEGINS)).toBe(true);
  });

  test.each([2, 0, '1', {}, null])('of version %j is refused by name', (version) => {
    expect(parseRequest(JSON.stringify({ request: 'status', version }), 'root')).toEqual(
      version === null
        ? { asked: { request: 'status' } }
        : {
            refused: `this daemon speaks version 1 of the protocol, who asks version ${JSON.stringify(version)}`,
          },
    );
  });

  test.each(['read', 'root'] as const)(
    'is told from anything else, whatever comes, for %s',
    (access) => {
      const words = fc.oneof(
        fc.constantFrom(...Object.keys(ALL), '__proto__', 'constructor', 'toString'),
        fc.string(),
      );
      const fields = fc.record(
        {
          request: fc.oneof(words, fc.jsonValue()),
          ...{ peer: fc.jsonValue(), options: fc.jsonValue(), after: fc.jsonValue() },
          ...{ source: fc.jsonValue(), text: fc.jsonValue() },
        },
        { requiredKeys: [] },
      );
      const line = fc.oneof(
        fc.string(),
        fc.json(),
        fields.map((value) => JSON.stringify(value)),
      );
      fc.assert(
        fc.property(line, (text) => {
          const found = parseRequest(text, access);
          if ('refused' in found) return;
          expect(Object.keys(ALL)).toContain(found.asked.request);
          if (access === 'read') expect(REQUESTS[found.asked.request].access).toBe('read');
          expect(parseRequest(formatRequest(found.asked), access)).toEqual(found);
        }),
      );
    },
  );
});

test('a reply of another version or protocol is foreign, one that says none is of the first', () => {
  expect(whyForeignReply({ ok: true })).toBeUndefined();
  expect(whyForeignReply({ ok: true, protocol: 'ipipou', version: 1 })).toBeUndefined();
  expect(whyForeignReply({ ok: true, protocol: 'ipipou', version: 2 })).toBe(
    'its daemon speaks version 2 of the protocol, this program version 1',
  );
  expect(whyForeignReply({ ok: true, protocol: 'other', version: 1 })).toBeDefined();
});
