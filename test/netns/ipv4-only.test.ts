import { describe } from 'vitest';
import { describeIpv4Only } from '../rig/ipv4-only-cases.ts';

describe('bpf', () => describeIpv4Only('bpf'));
describe('tun', () => describeIpv4Only('tun'));
