import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  setTransmitChecksumOffload,
  transmitChecksumOffload,
} from '../../src/adapters/checksum-offload.ts';
import { ipBatch, removeNamespaces } from '../../src/adapters/lab/namespaces.ts';
import { KernelError } from '../../src/core/errors.ts';
import { inNamespace } from '../rig/in-namespace.ts';

/*   namespace NAME:   v0 ◀──veth──▶ v1   */
const NAME = `csum-${process.pid}-a`;

beforeAll(async () => {
  await ipBatch(undefined, [`netns add ${NAME}`]);
  await ipBatch(NAME, ['link add v0 type veth peer name v1']);
});
afterAll(() => removeNamespaces([NAME]));

describe('setTransmitChecksumOffload', () => {
  test('switches one device off and on again', () => {
    const states = inNamespace(NAME, () => {
      const seen = [transmitChecksumOffload('v0')];
      for (const on of [false, false, true]) {
        setTransmitChecksumOffload('v0', on);
        seen.push(transmitChecksumOffload('v0'));
      }
      return [...seen, transmitChecksumOffload('v1')];
    });
    expect(states).toEqual([true, false, false, true, true]);
  });

  test('says which device is missing', () => {
    const act = () => inNamespace(NAME, () => setTransmitChecksumOffload('nosuch0', false));
    expect(act).toThrow(KernelError);
    expect(act).toThrow('link nosuch0: ETHTOOL_STXCSUM: ENODEV');
  });
});
