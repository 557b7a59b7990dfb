export type Sample = {
  readonly scene: string;
  readonly contestant: string;
  readonly round: number;
  readonly values: Readonly<Record<string, number>>;
  /** Why something could not be measured, by the measure's word. */
  readonly missing: Readonly<Record<string, string>>;
};
