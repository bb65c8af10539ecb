/* A measured effect as a bar, before the band that it has to leave to count: what its control does, and two deviations. */
import { figure } from "../base/numbers";
import type { Measure } from "../base/types";

const HALF = 60;
const HEIGHT = 14;
/** As the measure itself counts what holds: two standard deviations of the controls. */
const DEVIATIONS = 2;

export const signed = (value: number): string => (value > 0 ? `+${figure(value)}` : figure(value));

/** In words, for titles and readers of screens. */
export function inWords(measure: Measure): string {
    if (measure.controls === 0) return "no control could be had: the claim does not count";
    return `control ${signed(measure.control)} ± ${figure(measure.control_deviation)} of ${measure.controls}; ${measure.holds ? "holds" : "does not hold"}`;
}

/** The widest scale that a list of measures needs. */
export const scaleOf = (measures: readonly Measure[]): number =>
    Math.max(Number.MIN_VALUE, ...measures.map(({ effect }) => Math.abs(effect)));

export function EffectBar({ measure, scale }: { measure: Measure; scale: number }) {
    const at = (value: number): number => HALF + Math.max(-1, Math.min(value / scale, 1)) * HALF;
    const reach = Math.abs(measure.control) + DEVIATIONS * measure.control_deviation;
    const [low, high] = [at(-reach), at(reach)];
    const end = at(measure.effect);
    return (
        <svg
            class={`effect${measure.holds ? "" : " fails"}`}
            viewBox={`0 0 ${2 * HALF} ${HEIGHT}`}
            role="img"
            aria-label={`effect ${signed(measure.effect)}, ${inWords(measure)}`}
        >
            <title>{inWords(measure)}</title>
            {measure.controls > 0 && (
                <rect class="control" x={low} width={Math.max(high - low, 1)} y={0} height={HEIGHT} />
            )}
            <rect
                class={measure.effect < 0 ? "lost" : "gained"}
                x={Math.min(HALF, end)}
                width={Math.abs(end - HALF)}
                y={HEIGHT / 4}
                height={HEIGHT / 2}
            />
            <line x1={HALF} x2={HALF} y1={0} y2={HEIGHT} />
        </svg>
    );
}

/** The bar with its figures, as the cells of a row. */
export function EffectCells({ measure, scale }: { measure: Measure; scale: number }) {
    return (
        <>
            <td>
                <EffectBar measure={measure} scale={scale} />
            </td>
            <td class="figure">{signed(measure.effect)}</td>
            <td class="figure quiet">
                {measure.controls === 0 ? "none" : `${signed(measure.control)} ± ${figure(measure.control_deviation)}`}
            </td>
            <td class="figure wide-only">{measure.holds ? "holds" : "–"}</td>
        </>
    );
}

/** The heads of those cells. */
export function EffectHeads() {
    return (
        <>
            <th scope="col">
                <span class="hidden">Effect as a bar</span>
            </th>
            <th scope="col" class="figure" title="log p(answer) with it taken away, less without">
                Effect
            </th>
            <th scope="col" class="figure" title="The same of others of its kind: mean ± standard deviation">
                Control
            </th>
            <th scope="col" class="figure wide-only" title="Beyond the control by two deviations, and not tiny">
                Claim
            </th>
        </>
    );
}
