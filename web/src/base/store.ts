/* Values that several parts of the page show. */
import { useEffect, useState } from "preact/hooks";

export class Store<T> {
    private readonly listeners = new Set<() => void>();

    constructor(private value: T) {}

    get(): T {
        return this.value;
    }

    set(value: T): void {
        if (Object.is(value, this.value)) return;
        this.value = value;
        for (const listener of [...this.listeners]) listener();
    }

    update(change: (value: T) => T): void {
        this.set(change(this.value));
    }

    listen(listener: () => void): () => void {
        this.listeners.add(listener);
        return () => this.listeners.delete(listener);
    }
}

export function useStore<T>(store: Store<T>): T {
    const [value, setValue] = useState(store.get());
    useEffect(() => {
        const take = (): void => setValue(() => store.get());
        take();
        return store.listen(take);
    }, [store]);
    return value;
}

/** What was kept, with what an earlier page had no place for; what is of another kind than it should be counts for
 * nothing. */
export function completed<T>(initial: T, kept: unknown): T {
    if (typeof kept !== typeof initial || kept === null || Array.isArray(kept) !== Array.isArray(initial)) return initial;
    return typeof initial === "object" && !Array.isArray(initial) ? { ...initial, ...(kept as T) } : (kept as T);
}

/** A store that this browser remembers. What cannot be read or written is forgotten without a word. */
export function remembered<T>(key: string, initial: T): Store<T> {
    let value = initial;
    try {
        const kept = localStorage.getItem(key);
        if (kept !== null) value = completed(initial, JSON.parse(kept));
    } catch {
        /* Storage is denied, or holds something else. */
    }
    const store = new Store(value);
    store.listen(() => {
        try {
            localStorage.setItem(key, JSON.stringify(store.get()));
        } catch {
            /* Storage is denied or full. */
        }
    });
    return store;
}
