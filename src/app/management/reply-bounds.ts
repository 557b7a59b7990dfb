import { CONTROL_REPLY_MAX, type ControlReply, type PeerStatus } from '../../ports/control.ts';

/** Room of a reply for all but the peers, bytes. */
const REPLY_REST = 1024;
/** Lines that a reply brings to the operator, and characters of each. */
const LINES_MAX = 50;
const LINE_MAX = 500;

/** As many of the peers as fit one reply, and whether there are more. */
export function fitReply(peers: readonly PeerStatus[], more: boolean): ControlReply {
  let room = CONTROL_REPLY_MAX - REPLY_REST;
  const fitting: PeerStatus[] = [];
  for (const peer of peers) {
    room -= Buffer.byteLength(JSON.stringify(peer)) + 1;
    if (room < 0) break;
    fitting.push(peer);
  }
  return { ok: true, peers: fitting, more: more || fitting.length < peers.length };
}

/** Lines for the operator's terminal: not too long, and the rest of too many counted. */
export function boundLines(lines: readonly string[]): readonly string[] {
  const shown = lines.slice(0, LINES_MAX).map(shorten);
  const rest = lines.length - shown.length;
  return rest === 0 ? shown : [...shown, `and ${rest} more`];
}

function shorten(line: string): string {
  return line.length <= LINE_MAX ? line : `${line.slice(0, LINE_MAX)}…`;
}
