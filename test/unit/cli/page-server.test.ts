import { once } from 'node:events';
import { request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { createPageServer } from '../../../src/cli/ui/page-server.ts';
import { endpoint } from '../session/bench.ts';

let server: Server | undefined;
afterEach(() => server?.close());

/** The status of what is asked for at the place that the server takes for its own. */
async function ask(path: string): Promise<number | undefined> {
  const place = endpoint('127.0.0.1', 8765);
  server = createPageServer(place, {
    files: new Map(),
    view: () => Promise.reject(new Error('nobody asks')),
    tellLink: () => undefined,
    complain: () => undefined,
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const headers = { host: '127.0.0.1:8765' };
  const asked = request({ host: '127.0.0.1', port, path, headers, agent: false }).end();
  asked.setTimeout(2000, () => asked.destroy(new Error('no answer')));
  const [response] = (await once(asked, 'response')) as [{ statusCode?: number }];
  return response.statusCode;
}

test('what is no address is refused, and ends nothing', async () => {
  expect(await ask('//')).toBe(400);
  expect(await ask('/')).toBe(401);
});
