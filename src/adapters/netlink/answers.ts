import { KernelError } from '../../core/errors.ts';
import type { ExitName } from '../../core/exit-codes.ts';
import type { NetlinkMessage } from '../../core/netlink/message.ts';
import type { Decoded } from '../../core/result.ts';

/** What the kernel's answer says; one that we cannot read is a failure of the kernel's interface. */
export function readAnswer<T>(
  decode: (payload: Uint8Array) => Decoded<T>,
  message: NetlinkMessage,
  operation: string,
  exit: ExitName,
): T {
  const result = decode(message.payload);
  if (result.ok) return result.value;
  const failure = { operation, errno: 'EBADMSG', words: result.reason, subject: 'netlink answer' };
  throw new KernelError(exit, failure);
}

/** `promise`, but `fallback` where the kernel refuses with one of `errnos`. */
export async function unless<T, F>(
  errnos: readonly string[],
  fallback: F,
  promise: Promise<T>,
): Promise<T | F> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof KernelError && errnos.includes(error.errno)) return fallback;
    throw error;
  }
}
