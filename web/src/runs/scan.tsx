/* What a scan of a corpus found: how many texts alerted, and the strongest of them. */
import { figure, whole } from "../base/numbers";
import type { ScanReport } from "../base/types";

export const isScanReport = (value: unknown): value is ScanReport =>
    typeof value === "object" && value !== null && Array.isArray((value as { strongest?: unknown }).strongest);

const MOST_LETTERS = 300;

const cut = (text: string): string => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text);

export function Scan({ report }: { report: ScanReport }) {
    const { texts, alerts, counts } = report.summary;
    return (
        <section aria-label="What the scan found">
            <p>
                {whole(alerts)} of {whole(texts)} texts alerted.
                {counts &&
                    ` ${whole(counts.true_positive)} right and ${whole(counts.false_positive)} wrong alerts, ${whole(counts.true_negative)} right and ${whole(counts.false_negative)} wrong silences.`}
            </p>
            <ol class="scroll entries" tabIndex={0} aria-label="The strongest texts">
                {report.strongest.map((reading) => (
                    <li key={reading.number}>
                        {reading.alert && <strong>alert </strong>}
                        {cut(reading.text)}
                        {reading.watches.map(({ name, level, above }) => (
                            <div key={name} class="quiet number">
                                {name}: {level === null ? "nothing to read" : `${figure(level, 2)} of ${figure(above, 2)}`}
                            </div>
                        ))}
                    </li>
                ))}
            </ol>
        </section>
    );
}
