/* What the answer hangs on: features and tokens, each taken away while the model runs. */
import { percent, whole } from "../base/numbers";
import { visibleToken } from "../base/tokens";
import type { Explained, ExplainedFeature } from "../base/types";
import { FeatureName } from "../parts/featureline";
import { PinButton } from "../parts/pinbutton";
import { Tokens } from "../parts/tokens";
import { EffectCells, EffectHeads, inWords, scaleOf, signed } from "./effect";

interface FeaturesProps {
    explained: Explained;
    /** A feature is pointed at, or none: its token stands out in the prompt. */
    point: (feature: ExplainedFeature | null) => void;
}

export function CausingFeatures({ explained, point }: FeaturesProps) {
    const features = explained.features ?? [];
    if (features.length === 0) return null;
    const scale = scaleOf(features.map(({ ablated }) => ablated));
    return (
        <section class="panel" aria-labelledby="causing-features">
            <h2 id="causing-features">Features</h2>
            <p class="quiet">
                Each switched off on the whole prompt, beside other features of the prompt as active as it is.{" "}
                {whole(explained.features_measured ?? features.length)} were measured. The dictionary explains{" "}
                {percent(explained.reconstruction_fve)} of the variance on this prompt; without what it leaves over the
                answer changes by {signed(explained.error_term_effect ?? 0)}.
            </p>
            <div class="wide-table">
                <table class="list causes">
                    <thead>
                        <tr>
                            <th scope="col">Feature</th>
                            <EffectHeads />
                            <th scope="col">
                                <span class="hidden">Pin</span>
                            </th>
                        </tr>
                    </thead>
                    <tbody onPointerLeave={() => point(null)}>
                        {features.map((feature) => (
                            <tr
                                key={feature.feature}
                                onPointerEnter={() => point(feature)}
                                onFocusIn={() => point(feature)}
                                onFocusOut={() => point(null)}
                            >
                                <td>
                                    <FeatureName feature={feature} />{" "}
                                    <span class="quiet">
                                        at <code>{visibleToken(feature.token)}</code>
                                    </span>
                                </td>
                                <EffectCells measure={feature.ablated} scale={scale} />
                                <td>
                                    <PinButton feature={feature} />
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}

export function CausingTokens({ explained, pointed }: { explained: Explained; pointed: number | null }) {
    const { tokens } = explained;
    const scale = scaleOf(tokens.map(({ erased }) => erased));
    return (
        <section class="panel" aria-labelledby="causing-tokens">
            <h2 id="causing-tokens">Tokens</h2>
            <p class="quiet">
                Coloured by what the answer changes by when a token is replaced by others of the prompt, where that
                holds against the control.
            </p>
            <Tokens
                name="The prompt’s tokens"
                tokens={tokens.map(({ token, position, erased }) => ({
                    text: token,
                    level: erased.holds ? Math.abs(erased.effect) / scale : 0,
                    strong: position === pointed,
                }))}
                card={(at) => {
                    const token = tokens[at];
                    if (!token) return null;
                    return (
                        <>
                            <p class="card-head">
                                <code class="token-name">{visibleToken(token.token)}</code>
                                <span class="quiet">position {token.position}</span>
                            </p>
                            <p>
                                Replaced: {signed(token.erased.effect)}; {inWords(token.erased)}
                            </p>
                            {token.hidden && (
                                <p>
                                    Hidden from later tokens: {signed(token.hidden.effect)}; {inWords(token.hidden)}
                                </p>
                            )}
                        </>
                    );
                }}
            />
            <p class="answer-told">
                → <strong>{visibleToken(explained.answer)}</strong>
            </p>
        </section>
    );
}
