import type { Contestant } from '../contestant.ts';
import { bare, bareAgain } from './bare.ts';
import { fastdL2tp, fastdNull } from './fastd.ts';
import { ipipou } from './ipipou.ts';
import { fouRecipe, geneve, gre, gueRecipe, ipip, vxlan } from './kernel.ts';
import { openvpn, openvpnPlain } from './openvpn.ts';
import { ssh } from './ssh.ts';
import { wireguardGo, wireguardGo13, wireguardKernel } from './wireguard.ts';

/** Everyone, in the order of their turns and of the tables. */
export const CONTESTANTS: readonly Contestant[] = [
  bare,
  ipipou('fou'),
  ipipou('bpf'),
  ipipou('bpf', 'header'),
  ipipou('bpf', 'full'),
  ipipou('tun'),
  ipipou('tun', 'full'),
  fouRecipe,
  gueRecipe,
  ipip,
  gre,
  vxlan,
  geneve,
  fastdL2tp,
  fastdNull,
  openvpnPlain,
  openvpn,
  wireguardKernel,
  wireguardGo,
  wireguardGo13,
  ssh,
  bareAgain,
];
