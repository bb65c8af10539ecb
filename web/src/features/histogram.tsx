/* How often a feature is how strong, where it is active. Counts are drawn by their logarithm, since most are small. */
import { figure, whole } from "../base/numbers";

const HEIGHT = 60;
const BAR = 5;

export function Histogram({ heights, values }: { heights: number[]; values: number[] }) {
    const most = Math.max(...heights, 0);
    if (most === 0) return null;
    const tall = (count: number): number => (Math.log1p(count) / Math.log1p(most)) * HEIGHT;
    const width = heights.length * BAR;
    const last = values[values.length - 1] ?? 0;
    return (
        <figure class="histogram">
            <svg
                viewBox={`0 0 ${width} ${HEIGHT}`}
                preserveAspectRatio="none"
                role="img"
                aria-label={`Histogram of activations: ${whole(heights.reduce((sum, count) => sum + count, 0))} active tokens, up to ${figure(last)}`}
            >
                {heights.map((count, index) => (
                    <rect
                        key={index}
                        x={index * BAR + 0.5}
                        y={HEIGHT - tall(count)}
                        width={BAR - 1}
                        height={tall(count)}
                    >
                        <title>
                            about {figure(values[index])}: {whole(count)} tokens
                        </title>
                    </rect>
                ))}
            </svg>
            <figcaption>
                <span>0</span>
                <span>tokens, by the logarithm of their count</span>
                <span>{figure(last)}</span>
            </figcaption>
        </figure>
    );
}
