import { expect, test } from 'vitest';
import { pathMtu, roomOf, sameRoom } from '../../../src/adapters/planes/fou/room.ts';

test.each([
  { what: 'IPv4 alone', ipv6: false, limit: undefined, room: { device: 1472, route: undefined } },
  { what: 'IPv4 alone', ipv6: false, limit: 1200, room: { device: 1200, route: undefined } },
  { what: 'IPv6', ipv6: true, limit: undefined, room: { device: 1472, route: undefined } },
  { what: 'IPv6', ipv6: true, limit: 1500, room: { device: 1472, route: undefined } },
  { what: 'IPv6', ipv6: true, limit: 1280, room: { device: 1472, route: 1280 } },
  { what: 'IPv6', ipv6: true, limit: 1200, room: { device: 1472, route: 1200 } },
])('where $what is carried, a path of $limit bytes is $room', ({ ipv6, limit, room }) => {
  const found = roomOf(ipv6, { allowed: 1472, limit });
  expect(found).toEqual(room);
  expect(pathMtu(found)).toBe(Math.min(1472, limit ?? 1472));
  expect(sameRoom(found, { ...room })).toBe(true);
  expect(sameRoom(undefined, room)).toBe(false);
});

test('a device that carries IPv6 keeps 1280 bytes where the route to the peer leaves less', () => {
  expect(roomOf(true, { allowed: 1252, limit: undefined })).toEqual({ device: 1280, route: 1252 });
  expect(roomOf(false, { allowed: 1252, limit: undefined })).toEqual({
    device: 1252,
    route: undefined,
  });
});
