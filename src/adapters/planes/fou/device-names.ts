/** IFNAMSIZ of linux/if.h is 16, with the terminating zero. */
const MAX_NAME = 15;

/**
 * Name of the device of a tunnel's `number`th peer (1, 2, …): `ipipou0-1`. Not `ipipou0.1`, which
 * ifupdown takes for a VLAN and sysctl(8) for two words, nor `ipipou0:1`, which is an alias of old. A
 * tunnel's name that leaves no room loses its end.
 */
export function peerDeviceName(tunnel: string, number: number): string {
  const suffix = `-${number}`;
  return `${tunnel.slice(0, MAX_NAME - suffix.length)}${suffix}`;
}

/** Whether a name is that of a tunnel's device or of one of its peers'. */
export function isDeviceNameOf(tunnel: string, name: string): boolean {
  if (name === tunnel) return true;
  const number = /-([1-9][0-9]*)$/.exec(name)?.[1];
  return number !== undefined && peerDeviceName(tunnel, Number(number)) === name;
}

/** The free name with the lowest number. */
export function freeDeviceName(tunnel: string, isTaken: (name: string) => boolean): string {
  for (let number = 1; ; number++) {
    const name = peerDeviceName(tunnel, number);
    if (!isTaken(name)) return name;
  }
}
