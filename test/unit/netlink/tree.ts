import { decodeAttributes } from '../../../src/core/netlink/attributes.ts';

/** Where nests are: type of the attribute to what is inside. */
export type Nests = { readonly [type: number]: Nests };

export type Tree = { readonly [type: number]: string | Tree };

/** Attributes by type, nests unfolded, leaves in hexadecimal: what is said, whatever the order. */
export function treeOf(bytes: Uint8Array, nests: Nests = {}): Tree {
  const attributes = decodeAttributes(bytes);
  if (!attributes.ok) throw new Error(attributes.reason);
  const entries = [...attributes.value].map(([type, payload]): [number, string | Tree] => {
    const inside = nests[type];
    return [type, inside ? treeOf(payload, inside) : Buffer.from(payload).toString('hex')];
  });
  return Object.fromEntries(entries);
}
