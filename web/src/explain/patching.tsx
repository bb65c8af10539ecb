/* Where the difference between two prompts is carried: a square for each layer and position. */
import { percent } from "../base/numbers";
import { visibleToken } from "../base/tokens";
import type { Explained } from "../base/types";

export function Patching({ explained }: { explained: Explained }) {
    const { patching, tokens } = explained;
    if (!patching) return null;
    return (
        <section class="panel" aria-labelledby="patching-title">
            <h2 id="patching-title">Where the difference is carried</h2>
            <p class="quiet">
                The share of the answer’s log probability that comes back when one row of the prompt’s residual stream is
                put into the run of the other prompt.
            </p>
            <div class="wide-table">
                <table class="patching">
                    <thead>
                        <tr>
                            <th scope="col">Layer</th>
                            {tokens.map(({ token, position }) => (
                                <th key={position} scope="col">
                                    <code>{visibleToken(token)}</code>
                                </th>
                            ))}
                        </tr>
                    </thead>
                    <tbody>
                        {patching.recovered.map((row, layer) => (
                            <tr key={layer}>
                                <th scope="row" class="figure">
                                    {layer}
                                </th>
                                {row.map((share, position) => (
                                    <td
                                        key={position}
                                        class="figure"
                                        style={{ "--level": Math.max(0, Math.min(share, 1)).toFixed(2) }}
                                    >
                                        {percent(share)}
                                    </td>
                                ))}
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}
