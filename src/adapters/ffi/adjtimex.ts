import koffi from 'koffi';

/** adjtimex(2); `buffer` is a struct timex, whose `modes` of zero changes nothing. */
export const adjtimex = koffi.load('libc.so.6').func('int adjtimex(uint8_t *buf)') as (
  buffer: Uint8Array,
) => number;
