/* What shells complete of a command. */

/** What the machine has, for a shell to look up: names of configs, running tunnels, network devices, paths. */
export type Kind = 'config' | 'tunnel' | 'device' | 'file' | 'folder';

/** What a word may be; both lists empty: whatever. */
export type Choice = { readonly words: readonly string[]; readonly kinds: readonly Kind[] };

export type Flag = {
  /** `-c` and `--client`. */
  readonly spellings: readonly string[];
  /** '' where nothing is said of it. */
  readonly help: string;
  /** Undefined = the flag takes none. */
  readonly value: (Choice & { readonly placeholder: string }) | undefined;
};

export type CompletedCommand = {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  /** What the words that are no flags may be, by their place behind the command. */
  readonly places: readonly Choice[];
  /** Whether the last place stands for all that follow, too. */
  readonly endless: boolean;
};
