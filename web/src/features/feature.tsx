/* All there is on one feature. */
import { useEffect, useState } from "preact/hooks";
import { getFeature } from "../base/api";
import { figure, percent } from "../base/numbers";
import { status } from "../base/session";
import { useStore } from "../base/store";
import type { FeatureDetails, ShortFeature } from "../base/types";
import { FeatureName } from "../parts/featureline";
import { Trouble } from "../parts/trouble";
import { Examples } from "./examples";
import { Histogram } from "./histogram";
import { keep, useFeatures } from "./known";
import { Labels } from "./labels";
import { pin, pins, unpin } from "./pins";
import { TestBox } from "./testbox";
import { TurnIt } from "./turnit";

const NEIGHBOURS_SHOWN = 10;

function Neighbours({ details }: { details: FeatureDetails }) {
    const near = details.topkCosSimIndices.slice(0, NEIGHBOURS_SHOWN);
    const known = useFeatures(near);
    if (near.length === 0) return null;
    return (
        <section class="panel" aria-labelledby="near-title">
            <h2 id="near-title">Nearest features</h2>
            <table class="list">
                <thead class="hidden">
                    <tr>
                        <th scope="col">Feature</th>
                        <th scope="col">Cosine of the decoders</th>
                    </tr>
                </thead>
                <tbody>
                    {near.map((feature, index) => (
                        <tr key={feature}>
                            <td>
                                <FeatureName feature={known.get(feature) ?? { feature }} />
                            </td>
                            <td class="figure">{figure(details.topkCosSimValues[index])}</td>
                        </tr>
                    ))}
                </tbody>
            </table>
        </section>
    );
}

function Effects({ title, tokens, values }: { title: string; tokens: string[]; values: number[] }) {
    const most = Math.max(...values.map(Math.abs), Number.MIN_VALUE);
    return (
        <table class="effects">
            <caption>{title}</caption>
            <tbody>
                {tokens.map((token, index) => {
                    const value = values[index] ?? 0;
                    return (
                        <tr key={index}>
                            <th scope="row">
                                <code>{JSON.stringify(token).slice(1, -1).replace(/ /g, "␣")}</code>
                            </th>
                            <td>
                                <span
                                    class={`bar ${value < 0 ? "less" : "more"}`}
                                    style={{ width: `${(Math.abs(value) / most) * 100}%` }}
                                />
                            </td>
                            <td class="figure">{figure(value)}</td>
                        </tr>
                    );
                })}
            </tbody>
        </table>
    );
}

function Head({ details }: { details: FeatureDetails }) {
    const number = Number(details.index);
    const total = useStore(status)?.dictionary?.features ?? 0;
    const pinned = useStore(pins).features.includes(number);
    return (
        <header class="feature-head">
            <p class="quiet">
                {details.modelId} · {details.hookName} · {details.layer}
            </p>
            <h1>
                <span class="number">{details.index}</span> {details.explanations[0]?.description ?? "no label"}
            </h1>
            <p class="actions">
                {number > 0 && <a href={`#/features/${number - 1}`}>← {number - 1}</a>}
                {number + 1 < total && <a href={`#/features/${number + 1}`}>{number + 1} →</a>}
                <button
                    type="button"
                    class="main"
                    aria-pressed={pinned}
                    onClick={() => (pinned ? unpin : pin)(number)}
                >
                    {pinned ? "Pinned" : "Pin"}
                </button>
                <a href="#/features">All features</a>
            </p>
        </header>
    );
}

function Figures({ details }: { details: FeatureDetails }) {
    return (
        <section class="panel" aria-labelledby="figures-title">
            <h2 id="figures-title">Activations</h2>
            <dl class="pairs">
                <dt>Active on</dt>
                <dd>{percent(details.frac_nonzero)} of tokens</dd>
                <dt>Maximum</dt>
                <dd>{figure(details.maxActApprox, 3)}</dd>
                <dt>Mean where active</dt>
                <dd>{figure(details.meanActive, 3)}</dd>
            </dl>
            <Histogram heights={details.freq_hist_data_bar_heights} values={details.freq_hist_data_bar_values} />
        </section>
    );
}

/* A label that was set since the server began stands in the details alone. */
const shortOf = (details: FeatureDetails): ShortFeature => ({
    feature: Number(details.index),
    label: details.explanations[0]?.description ?? null,
    label_score: details.explanations[0]?.score ?? null,
    max_activation: details.maxActApprox,
    density: details.frac_nonzero,
});

export function Feature({ number }: { number: number }) {
    const [details, setDetails] = useState<FeatureDetails | null>(null);
    const [trouble, setTrouble] = useState<string | null>(null);
    const load = async (): Promise<void> => {
        try {
            const found = await getFeature(number);
            keep([shortOf(found)]);
            setDetails(found);
            setTrouble(null);
        } catch (error) {
            setDetails(null);
            setTrouble((error as Error).message);
        }
    };
    useEffect(() => void load(), [number]);
    if (!details)
        return (
            <div class="screen">
                <h1>Feature {number}</h1>
                <Trouble text={trouble} />
            </div>
        );
    const dead = !(details.maxActApprox !== null && details.maxActApprox > 0);
    return (
        <div class="screen">
            <Head details={details} />
            {dead && <p class="trouble">This feature was never active in the catalogue’s corpus.</p>}
            <div class="feature-columns">
                <div>
                    <Labels details={details} changed={() => void load()} />
                    <Figures details={details} />
                    <section class="panel" aria-labelledby="effects-title">
                        <h2 id="effects-title">Output tokens</h2>
                        <p class="quiet">What its direction adds to the logits, by the unembedding alone.</p>
                        <div class="effect-pair">
                            <Effects title="Raised" tokens={details.pos_str} values={details.pos_values} />
                            <Effects title="Lowered" tokens={details.neg_str} values={details.neg_values} />
                        </div>
                    </section>
                    <Neighbours details={details} />
                </div>
                <div>
                    <TurnIt feature={number} />
                    <TestBox feature={number} maximum={details.maxActApprox} />
                    <Examples details={details} />
                </div>
            </div>
        </div>
    );
}
