/* Jobs and runs as the server has them, asked again while one goes on. */
import { getJobs, getRun, getRuns } from "../base/api";
import { Later } from "../base/later";
import { Store } from "../base/store";
import type { Jobs, Run } from "../base/types";

const PAUSE = 2000; /* milliseconds */

export const jobs = new Store<Jobs | null>(null);
export const runs = new Store<readonly Run[]>([]);
/** Those whose curves are shown, with their points. */
export const chosen = new Store<readonly Run[]>([]);
export const trouble = new Store<string | null>(null);

const goesOn = (): boolean => jobs.get()?.jobs.some((job) => job.state === "running") ?? false;

export async function look(): Promise<void> {
    try {
        const [listed, ledger] = await Promise.all([getJobs(), getRuns()]);
        jobs.set(listed);
        runs.set(ledger.runs);
        const latest = ledger.runs.find((run) => run.state === "running");
        if (latest && goesOn() && chosen.get().length === 0) chosen.set([latest]);
        const unfinished = chosen.get().filter((run) => run.state === "running");
        if (unfinished.length > 0) {
            const now = await Promise.all(unfinished.map((run) => getRun(run.run)));
            chosen.update((before) => before.map((run) => now.find((each) => each.run === run.run) ?? run));
        }
        trouble.set(null);
    } catch (error) {
        trouble.set((error as Error).message);
    }
}

/** Looks at once, and again while a job runs and the page is seen. Returns what ends it. */
export function follow(): () => void {
    const round = async (): Promise<void> => {
        if (!document.hidden) await look();
        if (goesOn() || document.hidden) next.order();
    };
    const next = new Later(PAUSE, () => void round());
    const stop = jobs.listen(() => {
        if (goesOn()) next.order();
        else next.cancel();
    });
    void round();
    return () => {
        next.end();
        stop();
    };
}

export async function choose(run: Run): Promise<void> {
    const now = chosen.get();
    if (now.some((each) => each.run === run.run)) return chosen.set(now.filter((each) => each.run !== run.run));
    try {
        const whole = await getRun(run.run);
        /* Two are compared; a third takes the first one's place. */
        chosen.update((before) => [...before.slice(-1), whole]);
        trouble.set(null);
    } catch (error) {
        trouble.set((error as Error).message);
    }
}
