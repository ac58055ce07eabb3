export interface Version {
  readonly version: number;
  readonly state: unknown;
  readonly lane: string;
  readonly savedAt: number;
  readonly expiresAt: number;
  pinned: boolean;
}

/** What the promises say, over a plain map. */
export class Model {
  private readonly versions = new Map<string, Version[]>();
  private readonly counters = new Map<string, number>();
  readonly order: { readonly id: string; readonly version: number }[] = [];

  of(id: string): readonly Version[] {
    return this.versions.get(id) ?? [];
  }

  get ids(): readonly string[] {
    return [...this.versions.keys()].filter((id) => this.of(id).length > 0);
  }

  current(id: string, now: number): Version | undefined {
    return this.of(id).findLast(({ expiresAt }) => now <= expiresAt);
  }

  save(id: string, version: Omit<Version, 'version' | 'pinned'>): number {
    const number = (this.counters.get(id) ?? 0) + 1;
    this.counters.set(id, number);
    this.versions.set(id, [...this.of(id), { ...version, version: number, pinned: false }]);
    this.order.push({ id, version: number });
    return number;
  }

  keep(id: string, wanted: (version: Version) => boolean): number {
    const before = this.of(id);
    this.versions.set(id, before.filter(wanted));
    return before.length - this.of(id).length;
  }

  cleanup(now: number, days: number, keepLast: number): number {
    const isDue = (id: string, one: Version): boolean => {
      if (one.pinned) return false;
      if (now > one.expiresAt) return true;
      const newer = this.of(id).filter(({ version, expiresAt }) => version > one.version && now <= expiresAt);
      return now - one.savedAt > days * 86_400_000 && newer.length >= keepLast;
    };
    const due = this.ids.map((id) => [id, new Set(this.of(id).filter((one) => isDue(id, one)))] as const);
    return due.map(([id, gone]) => this.keep(id, (one) => !gone.has(one))).reduce((a, b) => a + b, 0);
  }
}
