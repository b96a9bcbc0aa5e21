/** What runs, for those who wait until nothing does. */

export class Running {
  readonly #promises = new Set<Promise<unknown>>();

  /** Counts `promise` as running until it settles, well or not. */
  track(promise: Promise<unknown>): void {
    const settled = promise.then(
      () => {},
      () => {},
    );
    this.#promises.add(settled);
    void settled.then(() => this.#promises.delete(settled));
  }

  /** Resolves when what runs now has settled. */
  async ended(): Promise<void> {
    await Promise.all(this.#promises);
  }
}
