/* The level of a feature along a text, with its threshold. */
const WIDTH = 600;
const HEIGHT = 48;

interface Props {
    /** Shares of the maximum, 0 … 1. */
    levels: readonly number[];
    threshold: number;
    name: string;
}

export function Curve({ levels, threshold, name }: Props) {
    if (levels.length === 0) return null;
    const step = WIDTH / levels.length;
    const line = (1 - threshold) * HEIGHT;
    return (
        <svg class="curve" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={name}>
            {levels.map(
                (level, at) =>
                    level > 0 && (
                        <rect
                            key={at}
                            class={level >= threshold ? "above" : "below"}
                            x={at * step}
                            y={(1 - level) * HEIGHT}
                            width={Math.max(step - 0.5, 0.5)}
                            height={level * HEIGHT}
                        />
                    ),
            )}
            <line x1={0} x2={WIDTH} y1={line} y2={line} />
        </svg>
    );
}
