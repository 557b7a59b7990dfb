import { syntax, parseDecimal } from './syntax.ts';

/** A mark of packets and connections: these bits of `mask`, which are within it and not all zero. */
export type Mark = { readonly value: number; readonly mask: number };

const ALL = 0xffff_ffff;

/** `MARK[/MASK]`, in hexadecimal or decimal, as nft and iproute2 take it. */
export const markValue = syntax<Mark>(
  'MARK[/MASK]',
  'a mark other than 0 of at most 32 bits, as in 0x1000000/0xff000000, all of its bits in the mask',
  (text) => {
    const [valueText = '', maskText, ...more] = text.split('/');
    const value = parseBits(valueText);
    const mask = maskText === undefined ? ALL : parseBits(maskText);
    if (value === undefined || mask === undefined || more.length > 0) return undefined;
    return value !== 0 && (value & ~mask) === 0 ? { value, mask } : undefined;
  },
);

function parseBits(text: string): number | undefined {
  if (/^0x[0-9a-fA-F]{1,8}$/.test(text)) return Number(text);
  return parseDecimal(text, 0, ALL);
}

export function formatMark({ value, mask }: Mark): string {
  const hex = (bits: number): string => `0x${(bits >>> 0).toString(16)}`;
  return `${hex(value)}/${hex(mask)}`;
}
