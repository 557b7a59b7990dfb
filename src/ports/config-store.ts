/** Config files, as they are changed by this program. */
export interface ConfigStore {
  /**
   * Has a file hold what `change` makes of its text: as a whole, on the disk when it resolves, with mode and
   * owner as they were. Who changes it in the same way meanwhile waits; where somebody else has, it is
   * refused. Rejects as `change` throws; then, and after every other failure, the file is as it was.
   */
  change(path: string, change: (text: string) => string): Promise<void>;
}
