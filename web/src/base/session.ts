/* What the whole page shares: the server's status, the theme, where one is, and what is said aloud. */
import { getStatus, isLocked } from "./api";
import { remembered, Store } from "./store";
import type { Status } from "./types";

export const status = new Store<Status | null>(null);
export const locked = new Store(false);
export const trouble = new Store<string | null>(null);

export async function loadStatus(): Promise<void> {
    try {
        status.set(await getStatus());
        locked.set(false);
        trouble.set(null);
    } catch (error) {
        if (isLocked(error)) locked.set(true);
        else trouble.set((error as Error).message);
    }
}

export type Theme = "auto" | "light" | "dark";
export const theme = remembered<Theme>("fathom-theme", "auto");

/** Where one is: "talk", "features/304" … */
export const place = new Store(location.hash.replace(/^#\/?/, ""));
addEventListener("hashchange", () => place.set(location.hash.replace(/^#\/?/, "")));

/** What screen readers say next. */
export const spoken = new Store("");
export const say = (text: string): void => spoken.set(text);
