/* How good a probe is on texts that it never saw: its ROC curve, beside what it must be compared with. */
import { figure, percent, whole } from "../base/numbers";
import type { ProbeReport } from "../base/types";

const SIDE = 240;

export const isProbeReport = (value: unknown): value is ProbeReport =>
    typeof value === "object" && value !== null && Array.isArray((value as { roc?: unknown }).roc);

/** An SVG polyline's points: false positives to the right, recall upward. */
export const curveOf = (roc: readonly (readonly [number, number])[]): string =>
    roc.map(([wrong, right]) => `${(wrong * SIDE).toFixed(1)},${((1 - right) * SIDE).toFixed(1)}`).join(" ");

export function Roc({ report }: { report: ProbeReport }) {
    const { counts, shuffled_labels: shuffled, random_directions: random } = report;
    const recall = counts.true_positive / Math.max(1, counts.true_positive + counts.false_negative);
    const wrong = counts.false_positive / Math.max(1, counts.false_positive + counts.true_negative);
    const [low, high] = report.auroc_interval;
    return (
        <figure class="roc">
            <svg
                viewBox={`-4 -4 ${SIDE + 8} ${SIDE + 8}`}
                role="img"
                aria-label={`ROC curve: the area under it is ${figure(report.auroc, 3)}. At the probe’s threshold recall is ${percent(recall)} at ${percent(wrong)} false positives.`}
            >
                <rect width={SIDE} height={SIDE} />
                <line x1={0} y1={SIDE} x2={SIDE} y2={0} />
                <polyline points={curveOf(report.roc)} />
                <circle cx={wrong * SIDE} cy={(1 - recall) * SIDE} r={4} />
            </svg>
            <figcaption>
                <dl class="pairs">
                    <dt>AUROC</dt>
                    <dd>
                        {figure(report.auroc, 3)} ({figure(low, 3)} to {figure(high, 3)}, 95 %)
                    </dd>
                    <dt>Texts</dt>
                    <dd>
                        {whole(report.positive)} positive, {whole(report.negative)} negative
                    </dd>
                    <dt>At its threshold (the dot)</dt>
                    <dd>
                        recall {percent(recall)}, false positives {percent(wrong)}
                    </dd>
                    <dt>… of shuffled labels</dt>
                    <dd>
                        {figure(shuffled.mean, 3)}, at best {figure(shuffled.highest, 3)} of {shuffled.n}
                    </dd>
                    <dt>… of random directions</dt>
                    <dd>
                        {figure(random.mean, 3)}, 95th percentile {figure(random.p95, 3)} of {whole(random.n)}
                    </dd>
                    <dt>… of the bag of words</dt>
                    <dd>{figure(report.bag_of_words, 3)}</dd>
                    <dt>… of the length alone</dt>
                    <dd>{figure(report.length, 3)}</dd>
                    {report.decoys && (
                        <>
                            <dt>Decoys that alert</dt>
                            <dd>
                                {percent(report.decoys.alerts)} of {report.decoys.n}
                            </dd>
                        </>
                    )}
                </dl>
            </figcaption>
        </figure>
    );
}
