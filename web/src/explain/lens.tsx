/* What each layer would have said, and what its parts wrote for the answer. */
import { figure, percent, whole } from "../base/numbers";
import { visibleToken } from "../base/tokens";
import type { LensLayer } from "../base/types";
import { LineChart } from "../parts/linechart";
import { signed } from "./effect";

const SHOWN = 3;

export function Lens({ layers }: { layers: readonly LensLayer[] }) {
    return (
        <section class="panel" aria-labelledby="lens-title">
            <h2 id="lens-title">Layer by layer</h2>
            <p class="quiet">
                The final norm and unembedding after each layer, at the prompt’s last token (logit lens); beside it what
                attention and MLP add to the logit of the answer’s first token.
            </p>
            <LineChart
                name="Probability of the answer’s first token after each layer"
                lines={[{ name: "answer", points: layers.map((layer) => [layer.layer, layer.answer_probability]) }]}
                x="layer"
                tell={(value) => percent(value)}
                least={0}
            />
            <details>
                <summary>Every layer</summary>
                <div class="wide-table">
                    <table class="list lens">
                        <thead>
                            <tr>
                                <th scope="col" class="figure">
                                    Layer
                                </th>
                                <th scope="col">Says</th>
                                <th scope="col" class="figure">
                                    Answer
                                </th>
                                <th scope="col" class="figure">
                                    Rank
                                </th>
                                <th scope="col" class="figure wide-only">
                                    Attention
                                </th>
                                <th scope="col" class="figure wide-only">
                                    MLP
                                </th>
                            </tr>
                        </thead>
                        <tbody>
                            {layers.map((layer) => (
                                <tr key={layer.layer}>
                                    <th scope="row" class="figure">
                                        {layer.layer}
                                    </th>
                                    <td>
                                        {layer.says.slice(0, SHOWN).map(({ token, probability }, at) => (
                                            <span key={at} class="guess">
                                                <code>{visibleToken(token)}</code>{" "}
                                                <span class="quiet">{figure(probability)}</span>
                                            </span>
                                        ))}
                                    </td>
                                    <td class="figure">{percent(layer.answer_probability)}</td>
                                    <td class="figure">{whole(layer.answer_rank + 1)}</td>
                                    <td class="figure wide-only">{signed(layer.attention)}</td>
                                    <td class="figure wide-only">{signed(layer.mlp)}</td>
                                </tr>
                            ))}
                        </tbody>
                    </table>
                </div>
            </details>
        </section>
    );
}
