/* Whether taps and edits do what they say, on this model and machine: what the command's doctor found, and a new look. */
import { useEffect, useState } from "preact/hooks";
import { beginJob, getJob } from "../base/api";
import { status } from "../base/session";
import { useStore } from "../base/store";
import type { DoctorReport, Job } from "../base/types";
import { Trouble } from "../parts/trouble";
import { follow, jobs, look } from "../runs/jobs";

const isReport = (value: unknown): value is DoctorReport =>
    typeof value === "object" && value !== null && Array.isArray((value as { checks?: unknown }).checks);

const SMALL = 1e-3;
const short = (value: number | null): string =>
    value === null ? "no number" : value !== 0 && Math.abs(value) < SMALL ? value.toExponential(1) : String(Number(value.toPrecision(3)));

function Checks({ report, when }: { report: DoctorReport; when: number }) {
    const { checks, failed } = report;
    return (
        <>
            <p class={failed > 0 ? "trouble" : undefined}>
                {checks.length - failed} of {checks.length} checks passed, {new Date(when * 1000).toLocaleString("en-GB")}
            </p>
            <div class="scroll" tabIndex={0} role="region" aria-label="Checks">
                <table class="list">
                    <thead>
                        <tr>
                            <th scope="col">Check</th>
                            <th scope="col" class="figure">
                                Measured
                            </th>
                            <th scope="col" class="figure">
                                Expected
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {checks.map((check) => (
                            <tr key={check.name}>
                                <td>
                                    {check.passed ? "" : <strong class="trouble">failed </strong>}
                                    {check.name}
                                    {!check.passed && <div class="quiet">{check.detail}</div>}
                                </td>
                                <td class="figure">{short(check.measured)}</td>
                                <td class="figure">
                                    {check.relation} {short(check.expected)}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </>
    );
}

export function Doctor() {
    const latest = useStore(jobs)?.jobs.find(({ command }) => command === "doctor");
    const busy = useStore(jobs)?.jobs.some(({ state }) => state === "running") ?? false;
    const readOnly = useStore(status)?.read_only ?? true;
    const [shown, setShown] = useState<Job | null>(null);
    const [trouble, setTrouble] = useState<string | null>(null);
    useEffect(follow, []);
    const number = latest?.job;
    const state = latest?.state;
    useEffect(() => {
        if (number === undefined || state === "running") return;
        getJob(number).then(setShown, (error: Error) => setTrouble(error.message));
    }, [number, state]);
    const begin = async (): Promise<void> => {
        try {
            await beginJob({ command: "doctor", options: {} });
            setTrouble(null);
            await look();
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <section class="panel" aria-labelledby="doctor-title">
            <h2 id="doctor-title">Doctor</h2>
            <p class="quiet">Proves on this model and machine that taps carry what the next layer reads, and that edits do what they say.</p>
            <Trouble text={trouble} />
            {shown?.state === "failed" && <Trouble text={shown.message ?? "the check failed"} />}
            {shown && isReport(shown.result) && <Checks report={shown.result} when={shown.ended ?? shown.began} />}
            {state === "running" && <p role="status">{latest?.progress?.line || "begun"}</p>}
            {!readOnly && (
                <p class="actions">
                    <button type="button" disabled={busy} onClick={() => void begin()}>
                        {busy ? "One job runs at a time" : "Check this model"}
                    </button>
                </p>
            )}
        </section>
    );
}
