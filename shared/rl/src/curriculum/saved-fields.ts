/** Fields of a hash that another process reads, and which of them changed since they were asked for last. */
export class SavedFields {
  private changed: Record<string, string | null> = {};

  set(field: string, text: string): void {
    this.changed[field] = text;
  }

  delete(field: string): void {
    this.changed[field] = null;
  }

  /** Fields that changed since the last call, null where they are gone. */
  changes(): Record<string, string | null> {
    const changed = this.changed;
    this.changed = {};
    return changed;
  }
}
