import { KernelError } from '../../../src/core/errors.ts';

export const refusal = new KernelError('nftables', {
  operation: 'nft',
  errno: 'ENOMEM',
  words: 'Cannot allocate memory',
  subject: 'nft',
});

/** The elements that scripts have made; refuses whatever `refuses` says. */
export class FakeNft {
  readonly sets = new Map<string, Set<string>>();
  readonly scripts: string[] = [];
  refuses: (script: string) => boolean = () => false;

  runScript(script: string): void {
    if (this.refuses(script)) throw refusal;
    this.scripts.push(script);
    for (const line of script.split('\n')) {
      const [, verb, family = '', set = '', list = ''] =
        /^(add|delete) element (ip6?) \S+ p10000_(\S+) \{ (.*) \}$/.exec(line) ?? [];
      const elements = this.of(set, family);
      for (const text of list.split(', ')) {
        if (verb === 'add') elements.add(text);
        if (verb === 'delete') elements.delete(text);
      }
    }
  }

  elements(family: string, _table: string, { name }: { readonly name: string }) {
    return this.of(name.replace('p10000_', ''), family);
  }

  of(set: string, family = 'ip'): Set<string> {
    const key = `${family} ${set}`;
    const elements = this.sets.get(key) ?? new Set<string>();
    this.sets.set(key, elements);
    return elements;
  }
}
