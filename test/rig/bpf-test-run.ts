import type { ProgramName } from '../../src/adapters/planes/bpf/abi.ts';
import { checkedBpf, libbpf } from '../../src/adapters/planes/bpf/bpf-calls.ts';
import type { Programs } from '../../src/adapters/planes/bpf/programs.ts';
import {
  encodeStruct,
  readNumber,
  structLayout,
} from '../../src/adapters/planes/bpf/struct-layout.ts';
import { encodeU32host, getU32host } from '../../src/core/bytes.ts';
import { address } from '../../src/adapters/ffi/libc.ts';

/* BPF_PROG_TEST_RUN: one packet through one program, without a device (struct bpf_test_run_opts of bpf/bpf.h 1.1). */

export const OPTS = structLayout({
  ...{ sz: 'u64', data_in: 'u64', data_out: 'u64', data_size_in: 'u32', data_size_out: 'u32' },
  ...{ ctx_in: 'u64', ctx_out: 'u64', ctx_size_in: 'u32', ctx_size_out: 'u32', retval: 'u32' },
  ...{ repeat: 'u32', duration: 'u32', flags: 'u32', cpu: 'u32', batch_size: 'u32' },
});

/** linux/pkt_cls.h */
const VERDICTS: Readonly<Record<number, Verdict>> = {
  0: 'ok',
  2: 'shot',
  7: 'redirect',
  0xffff_ffff: 'unspec',
};
export type Verdict = 'ok' | 'shot' | 'redirect' | 'unspec';

export type Ran = { readonly verdict: Verdict; readonly packet: Uint8Array };

/** What a program makes of an Ethernet frame that comes by the loopback device of this thread's namespace. */
export function testRun(programs: Programs, name: ProgramName, frame: Uint8Array): Ran {
  const out = new Uint8Array(frame.length + 256);
  const options = encodeStruct(OPTS, {
    sz: BigInt(OPTS.size),
    data_in: address(frame),
    data_out: address(out),
    data_size_in: frame.length,
    data_size_out: out.length,
    repeat: 1,
  });
  const ran = libbpf().bpf_prog_test_run_opts(programs.descriptor(name), options);
  checkedBpf(ran, 'BPF_PROG_TEST_RUN', name);
  const verdict = VERDICTS[readNumber(OPTS, options, 'retval')];
  if (!verdict) throw new Error(`verdict ${readNumber(OPTS, options, 'retval')}`);
  return { verdict, packet: out.subarray(0, readNumber(OPTS, options, 'data_size_out')) };
}

/** struct bpf_prog_info of linux/bpf.h, since Linux 5.16. */
const PROG_INFO_SIZE = 232;
const VERIFIED_INSNS_AT = 216;

/** How many instructions the verifier has walked through. */
export function verifiedInstructions(program: number): number {
  const info = new Uint8Array(PROG_INFO_SIZE);
  const got = libbpf().bpf_obj_get_info_by_fd(program, info, encodeU32host(info.length));
  checkedBpf(got, 'BPF_OBJ_GET_INFO_BY_FD', 'program');
  return getU32host(info, VERIFIED_INSNS_AT);
}
