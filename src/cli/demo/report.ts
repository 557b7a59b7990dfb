/** A step that did not do what it should; the demo stops there, and still cleans up. */
export class StepFailed extends Error {}

/** Prints steps as they end, and remembers whether one failed. */
export class Report {
  readonly #print: (text: string) => void;
  failed = 0;
  passed = 0;

  constructor(print: (text: string) => void) {
    this.#print = print;
  }

  heading(text: string): void {
    this.#print(`\n${text}\n`);
  }

  /** Text that belongs to the step before it. */
  detail(text: string): void {
    const lines = text.trimEnd().split('\n');
    this.#print(lines.map((line) => `    ${line}`.trimEnd()).join('\n') + '\n');
  }

  /** Runs a step; what it resolves to is the remark behind its title. Throws StepFailed when it rejects. */
  async step(title: string, run: () => Promise<string | undefined>): Promise<void> {
    if (!(await this.attempt(title, run))) throw new StepFailed(title);
  }

  /** The same for a step after which the demo goes on; whether it succeeded. */
  async attempt(title: string, run: () => Promise<string | undefined>): Promise<boolean> {
    try {
      const remark = await run();
      this.passed += 1;
      this.#print(`✓ ${title}${remark === undefined ? '' : `: ${remark}`}\n`);
      return true;
    } catch (error) {
      this.failed += 1;
      this.#print(`✗ ${title}\n`);
      this.detail(error instanceof Error ? error.message : String(error));
      return false;
    }
  }
}
