import { expect, it } from 'vitest';
import {
  CounterLedger,
  type DeviceCounters,
} from '../../../src/adapters/planes/fou/counter-ledger.ts';
import { ifIndex } from '../../../src/core/units.ts';

const counters = (index: number, rx: bigint, tx: bigint): DeviceCounters => ({
  index: ifIndex(index),
  rxPackets: rx,
  rxBytes: rx * 100n,
  txPackets: tx,
  txBytes: tx * 100n,
});

it('goes on counting over a device that was made again', () => {
  const ledger = new CounterLedger();
  expect(ledger.total(undefined)).toMatchObject({ rxPackets: 0n, txBytes: 0n });
  expect(ledger.total(counters(5, 10n, 3n))).toMatchObject({ rxPackets: 10n, txBytes: 300n });
  expect(ledger.total(counters(5, 12n, 4n))).toMatchObject({ rxPackets: 12n, txPackets: 4n });
  expect(ledger.total(undefined)).toMatchObject({ rxPackets: 12n, txPackets: 4n });
  expect(ledger.total(undefined)).toMatchObject({ rxPackets: 12n, txPackets: 4n });
  expect(ledger.total(counters(6, 1n, 0n))).toMatchObject({ rxPackets: 13n, txPackets: 4n });
});
