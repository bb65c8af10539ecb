/* Probes of the server's data folder: one of them can colour the text, and says what it makes of the whole of it. */
import { useEffect, useMemo } from "preact/hooks";
import { getProbes } from "../base/api";
import { figure, percent } from "../base/numbers";
import { Store, useStore } from "../base/store";
import { tokenTexts } from "../base/tokens";
import type { Probe, Score, Token, Watched } from "../base/types";
import { TokenCard } from "../parts/tokencard";
import { Tokens } from "../parts/tokens";
import { Curve } from "./curve";

export const probes = new Store<readonly Probe[]>([]);
/** The one that colours; null: a feature does. */
export const chosenProbe = new Store<string | null>(null);

/** Log-odds as the probability that they stand for. */
export const probability = (score: number): number => 1 / (1 + Math.exp(-score));

export function ProbeList() {
    const all = useStore(probes);
    const chosen = useStore(chosenProbe);
    useEffect(() => {
        getProbes().then(
            (reply) => probes.set(reply.probes),
            () => probes.set([]),
        );
    }, []);
    if (all.length === 0) return null;
    return (
        <section class="panel" aria-labelledby="probes-title">
            <h2 id="probes-title">Probes</h2>
            <ul class="pins">
                <li>
                    <label class="choice">
                        <input type="radio" name="probe" checked={chosen === null} onChange={() => chosenProbe.set(null)} />
                        none: features colour the text
                    </label>
                </li>
                {all.map((probe) => (
                    <li key={probe.probe}>
                        <label class="choice">
                            <input
                                type="radio"
                                name="probe"
                                disabled={probe.trouble !== undefined}
                                checked={chosen === probe.probe}
                                onChange={() => chosenProbe.set(probe.probe)}
                            />
                            {probe.probe}
                        </label>
                        <p class="quiet">
                            {probe.trouble ??
                                `${probe.hook}, ${probe.pool === "last" ? "the last token" : "mean of the tokens"}; AUROC ${figure(probe.cross_validated_auroc, 3)} by cross-validation`}
                        </p>
                    </li>
                ))}
            </ul>
        </section>
    );
}

interface Props {
    name: string;
    tokens: readonly Token[];
    watch: readonly Watched[];
    score: Score;
}

/** A text that was read with the probe: each token's own log-odds, and the text's score. */
export function ProbeReading({ name, tokens, watch, score }: Props) {
    const at = watch.findIndex((watched) => watched.probe === name);
    const above = watch[at]?.above ?? 0;
    const texts = useMemo(() => tokenTexts(tokens), [tokens]);
    const levels = useMemo(
        () => tokens.map((token) => token.levels?.[at] ?? null).map((level) => (level === null ? 0 : probability(level))),
        [tokens, at],
    );
    const threshold = probability(above);
    return (
        <section class="panel" aria-labelledby="probed-title">
            <h2 id="probed-title">{name}</h2>
            <p class={score.alert ? "alert" : "quiet"}>
                {score.alert ? "Alert" : "No alert"}: the text’s log-odds are {figure(score.score)} (probability {percent(score.probability)}), it alerts
                from {figure(above)} on.
            </p>
            <Curve levels={levels} threshold={threshold} name={`Probability by ${name} along the text`} />
            <Tokens
                name={`The text by ${name}`}
                tokens={levels.map((level, index) => ({ text: texts[index] ?? "", level, strong: level >= threshold }))}
                card={(index) => {
                    const token = tokens[index];
                    return token ? (
                        <>
                            <p>
                                {name}: log-odds {figure(token.levels?.[at])}
                            </p>
                            <TokenCard token={token} text={texts[index] ?? ""} watch={watch} />
                        </>
                    ) : null;
                }}
            />
        </section>
    );
}
