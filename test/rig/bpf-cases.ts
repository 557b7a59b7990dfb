import { afterAll, beforeAll, beforeEach, describe } from 'vitest';
import { describeDecap } from './bpf-cases/decap.ts';
import { describeFamilies } from './bpf-cases/families.ts';
import { describeFuzz6 } from './bpf-cases/fuzz6.ts';
import { describeInsideIpv6 } from './bpf-cases/inside-ipv6.ts';
import { describeOverIpv6 } from './bpf-cases/over-ipv6.ts';
import { describeEncap } from './bpf-cases/encap.ts';
import { describeFuzz } from './bpf-cases/fuzz.ts';
import { load, reset, unload } from './bpf-cases/shared.ts';
import { withIpv6 } from './bpf-cases/shared6.ts';
import { describeCookies } from './bpf-cases/cookies.ts';
import { describeMac1 } from './bpf-cases/mac1.ts';
import { describeTagOwners } from './bpf-cases/tag-owners.ts';
import { describeTags } from './bpf-cases/tags.ts';
import { describeStrangers } from './bpf-cases/strangers.ts';

/**
 * The eBPF programs packet by packet, for every kernel that they are to run on; `fuzz` says how many
 * packets are made up.
 */
export function describePrograms({ fuzz }: { readonly fuzz: number }): void {
  beforeAll(() => {
    load();
  });
  beforeEach(reset);
  afterAll(unload);

  describe('in', () => {
    describeDecap();
  });
  describe('in, strangers', () => {
    describeStrangers();
  });
  describe('in, made-up packets', () => {
    describeFuzz(fuzz);
  });
  describe('out', () => {
    describeEncap();
  });
  describe('in, first messages of session 2', () => {
    describeMac1();
  });
  describe('in, first messages in a flood', () => {
    describeCookies('ipv4');
  });
  describe('with IPv6', () => {
    beforeAll(withIpv6);
    describe('tags', () => {
      describeTags(4 * fuzz);
      describeTagOwners();
    });
    describe('in, first messages in a flood', () => {
      describeCookies('ipv6');
    });
    describeFamilies();
    describeOverIpv6();
    describeInsideIpv6();
    describeFuzz6(fuzz);
  });
}
