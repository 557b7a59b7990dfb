/** Where Debian keeps programs; `su` without a hyphen leaves a PATH without the first and the third. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The PATH to find programs by: the one given, with the system's folders that it lacks behind. */
export function programPath(given: string | undefined): string {
  const folders = (given ?? '').split(':').filter((folder) => folder !== '');
  return [...folders, ...SYSTEM_FOLDERS.filter((folder) => !folders.includes(folder))].join(':');
}
