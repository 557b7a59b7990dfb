import { packageFile } from '../adapters/system/package-files.ts';

/** wireguard-go of Debian 13, where `npm run bench` puts it. */
export const DEBIAN_13_WIREGUARD = packageFile(
  '.cache/debian-13/wireguard-go/usr/bin/wireguard-go',
);
