/* Past and present training runs, and the curves of one or two. */
import { figure, percent, whole } from "../base/numbers";
import { useStore } from "../base/store";
import type { Run } from "../base/types";
import { LineChart } from "../parts/linechart";
import { choose, chosen, runs } from "./jobs";
import { linesOf, type Quantity } from "./lines";

const QUANTITIES: Record<Quantity, string> = {
    loss: "Loss",
    fve: "Fraction of variance explained",
    l0: "Features active on a token (L0)",
    dead_fraction: "Share of features that are dead",
};

function RunRow({ run, shown }: { run: Run; shown: boolean }) {
    const first = run.dictionaries[0];
    return (
        <tr>
            <td>
                <button type="button" class="small" aria-pressed={shown} onClick={() => void choose(run)}>
                    Run {run.run}
                </button>
            </td>
            <td>
                {first ? `${first.architecture}, ${whole(first.features)} × ${first.hook}` : run.command}
                {run.dictionaries.length > 1 && ` and ${run.dictionaries.length - 1} more`}{" "}
                <span class="quiet">
                    {run.state}
                    {run.message && `: ${run.message}`}
                </span>
            </td>
            <td class="figure wide-only">{run.started.slice(0, 16).replace("T", " ")}</td>
            <td class="figure wide-only">{whole(run.tokens)}</td>
            <td class="figure">{figure(first?.fve, 3)}</td>
            <td class="figure">{figure(first?.l0, 1)}</td>
            <td class="figure wide-only">{percent(first?.dead_fraction)}</td>
        </tr>
    );
}

function Curves({ shown }: { shown: readonly Run[] }) {
    return (
        <section class="panel" aria-label="Curves">
            <h2>
                {shown.map((run) => `Run ${run.run}`).join(" beside ")}
                {shown.length === 1 && <span class="quiet"> choose a second one to compare</span>}
            </h2>
            {shown.map((run) => (
                <p key={run.run} class="quiet">
                    Run {run.run}: <code>{run.command}</code>
                </p>
            ))}
            <div class="charts">
                {(Object.keys(QUANTITIES) as Quantity[]).map((quantity) => (
                    <LineChart
                        key={quantity}
                        name={QUANTITIES[quantity]}
                        lines={linesOf(shown, quantity)}
                        x="tokens"
                    />
                ))}
            </div>
            {shown.every((run) => (run.points ?? []).length === 0) && <p class="quiet">It has no points yet.</p>}
        </section>
    );
}

export function Ledger() {
    const all = useStore(runs);
    const shown = useStore(chosen);
    return (
        <>
            {shown.length > 0 && <Curves shown={shown} />}
            <section class="panel" aria-labelledby="ledger-title">
                <h2 id="ledger-title">Training runs</h2>
                {all.length === 0 ? (
                    <p class="quiet">None was written down yet.</p>
                ) : (
                    <table class="list runs">
                        <thead>
                            <tr>
                                <th scope="col">Curves</th>
                                <th scope="col">Dictionary</th>
                                <th scope="col" class="figure wide-only">
                                    Began
                                </th>
                                <th scope="col" class="figure wide-only">
                                    Tokens
                                </th>
                                <th scope="col" class="figure" title="Fraction of variance explained on held-out tokens">
                                    FVE
                                </th>
                                <th scope="col" class="figure" title="Features active on a token">
                                    L0
                                </th>
                                <th scope="col" class="figure wide-only">
                                    Dead
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            {all.map((run) => (
                                <RunRow key={run.run} run={run} shown={shown.some((each) => each.run === run.run)} />
                            ))}
                        </tbody>
                    </table>
                )}
            </section>
        </>
    );
}
