/* A small line chart: one or several lines over one axis, with what is under the pointer, or the arrow keys, in words. */
import { useRef, useState } from "preact/hooks";
import { figure, whole } from "../base/numbers";

export interface Line {
    name: string;
    /** By x, ascending. */
    points: readonly (readonly [number, number])[];
}

interface Props {
    name: string;
    lines: readonly Line[];
    /** What x counts. */
    x: string;
    tell?: (value: number) => string;
    /** Where the upright axis begins; none: at the smallest value. */
    least?: number;
}

const WIDTH = 560;
const HEIGHT = 130;

/** The point whose x is nearest, of points by x. */
export function nearest(points: Line["points"], x: number): readonly [number, number] | null {
    let best: readonly [number, number] | null = null;
    for (const point of points) if (!best || Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
    return best;
}

const rangeOf = (values: readonly number[], least = Math.min(...values)): [number, number] => [least, Math.max(...values)];

/** Where in a range a value lies, 0 … 1; in the middle of one without extent. */
const place = (value: number, [from, to]: [number, number]): number => (to > from ? (value - from) / (to - from) : 0.5);

export function LineChart({ name, lines, x, tell = (value) => figure(value, 3), least }: Props) {
    const [at, setAt] = useState<number | null>(null);
    const box = useRef<SVGSVGElement>(null);
    const drawn = lines.filter(({ points }) => points.length > 0);
    const all = drawn.flatMap(({ points }) => points);
    if (all.length === 0) return null;
    const wide = rangeOf(all.map((point) => point[0]));
    const tall = rangeOf(all.map((point) => point[1]), least);
    const [left, right] = wide;
    const across = (value: number): number => place(value, wide) * WIDTH;
    const up = (value: number): number => (1 - place(value, tall)) * HEIGHT;
    const steps = [...new Set(all.map((point) => point[0]))].sort((a, b) => a - b);
    const onMove = (event: PointerEvent): void => {
        const area = box.current?.getBoundingClientRect();
        if (area) setAt(left + ((event.clientX - area.left) / area.width) * (right - left));
    };
    const onKey = (event: KeyboardEvent): void => {
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const from = at === null ? -1 : steps.indexOf(nearest(all, at)?.[0] ?? left);
        setAt(steps[Math.max(0, Math.min(steps.length - 1, from + step))] ?? left);
    };
    const told = at === null ? [] : drawn.map((line) => ({ line, point: nearest(line.points, at) }));
    return (
        <figure class="linechart">
            <svg
                ref={box}
                viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
                preserveAspectRatio="none"
                role="img"
                aria-label={`${name}: ${drawn.map((line) => `${line.name} from ${tell(line.points[0]?.[1] ?? 0)} to ${tell(line.points.at(-1)?.[1] ?? 0)}`).join("; ")}. Arrow keys go along it.`}
                tabindex={0}
                onPointerMove={onMove}
                onPointerLeave={() => setAt(null)}
                onKeyDown={onKey}
            >
                {drawn.map(({ name: of, points }, index) => (
                    <polyline
                        key={of}
                        class={`line-${index % 4}`}
                        points={points.map(([px, py]) => `${across(px).toFixed(1)},${up(py).toFixed(1)}`).join(" ")}
                    />
                ))}
                {told[0]?.point && (
                    <line x1={across(told[0].point[0])} x2={across(told[0].point[0])} y1={0} y2={HEIGHT} />
                )}
            </svg>
            <figcaption>
                <span>{name}</span>
                <span aria-live="polite">
                    {told.length > 0
                        ? told
                              .map(({ line, point }) => point && `${line.name}, ${x} ${whole(point[0])}: ${tell(point[1])}`)
                              .join("; ")
                        : `${tell(tall[0])} to ${tell(tall[1])}, ${x} ${whole(left)} to ${whole(right)}`}
                </span>
            </figcaption>
            {drawn.length > 1 && (
                <ul class="legend">
                    {drawn.map((line, index) => (
                        <li key={line.name} class={`key-${index % 4}`}>
                            {line.name}
                        </li>
                    ))}
                </ul>
            )}
        </figure>
    );
}
