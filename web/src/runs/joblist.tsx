/* What the server works on, and did. */
import { useState } from "preact/hooks";
import { getJob, resumeJob, stopOrForgetJob } from "../base/api";
import { percent } from "../base/numbers";
import { status } from "../base/session";
import { useStore } from "../base/store";
import type { Job } from "../base/types";
import { LevelBar } from "../parts/level";
import { jobs, look, trouble } from "./jobs";
import { isProbeReport, Roc } from "./roc";
import { isScanReport, Scan } from "./scan";

const MILLISECONDS = 1000;

const moment = (seconds: number): string => new Date(seconds * MILLISECONDS).toLocaleString("en-GB");

async function act(work: () => Promise<unknown>): Promise<void> {
    try {
        await work();
        await look();
    } catch (error) {
        trouble.set((error as Error).message);
    }
}

function Details({ job }: { job: number }) {
    const [shown, setShown] = useState<Job | null>(null);
    return (
        <details
            onToggle={(event) => {
                if (event.currentTarget.open) void act(async () => setShown(await getJob(job)));
            }}
        >
            <summary>Log and result</summary>
            {shown && (
                <>
                    <pre class="code" tabIndex={0} aria-label={`Log of job ${job}`}>
                        {shown.log || "nothing was written"}
                    </pre>
                    {isProbeReport(shown.result) && <Roc report={shown.result} />}
                    {isScanReport(shown.result) && <Scan report={shown.result} />}
                    {shown.result !== undefined && (
                        <pre class="code" tabIndex={0} aria-label={`Result of job ${job}`}>
                            {JSON.stringify(shown.result, null, 2)}
                        </pre>
                    )}
                </>
            )}
        </details>
    );
}

function JobEntry({ job, readOnly }: { job: Job; readOnly: boolean }) {
    const running = job.state === "running";
    return (
        <li class="job">
            <p class="pin-head">
                <strong>
                    {job.command} <span class="number">{job.job}</span>
                </strong>
                <span class={job.state === "failed" ? "trouble" : "quiet"}>
                    {job.state}, {moment(job.began)}
                </span>
            </p>
            {running && (
                <p>
                    {job.progress?.share != null && (
                        <LevelBar share={job.progress.share} text={percent(job.progress.share)} />
                    )}{" "}
                    <span class="quiet">{job.progress?.line}</span>
                </p>
            )}
            {job.message && <p class="trouble">{job.message}</p>}
            {!readOnly && (
                <p class="actions">
                    {running ? (
                        <button type="button" class="small" onClick={() => void act(() => stopOrForgetJob(job.job))}>
                            Stop
                        </button>
                    ) : (
                        <>
                            {job.state !== "done" && (
                                <button type="button" class="small" onClick={() => void act(() => resumeJob(job.job))}>
                                    Go on
                                </button>
                            )}
                            <button type="button" class="small" onClick={() => void act(() => stopOrForgetJob(job.job))}>
                                Forget
                            </button>
                        </>
                    )}
                </p>
            )}
            <Details job={job.job} />
        </li>
    );
}

export function JobList() {
    const now = useStore(jobs);
    const readOnly = useStore(status)?.read_only ?? true;
    return (
        <section class="panel" aria-labelledby="jobs-title">
            <h2 id="jobs-title">Jobs</h2>
            {now?.jobs.length === 0 && <p class="quiet">None was begun.</p>}
            <ul>{now?.jobs.map((job) => <JobEntry key={job.job} job={job} readOnly={readOnly} />)}</ul>
        </section>
    );
}
