import type {
  ControlHandler,
  ControlListener,
  ControlReply,
  EventFeed,
} from '../../ports/control.ts';
import type { LiveConfig } from '../live-config.ts';

const NOT_YET: ControlReply = { ok: false, error: 'the tunnel is not up yet' };

/**
 * The listener of a tunnel's sockets: what is about its peers and its config goes to `live`, which is there once the
 * tunnel is up, and whoever wants to follow events is given `feed`.
 */
export function atDesk(
  listener: ControlListener,
  { live, feed }: { readonly live: () => LiveConfig | undefined; readonly feed: EventFeed },
): ControlListener {
  const route =
    (tunnel: ControlHandler): ControlHandler =>
    async (request) => {
      if (request.request === 'status' || request.request === 'reauthenticate') {
        return tunnel(request);
      }
      return (await live()?.answer(request)) ?? NOT_YET;
    };
  return { listen: (place, handler) => listener.listen(place, route(handler), feed) };
}
