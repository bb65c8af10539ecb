/* A text, or an answer as it is being written, with the pinned features as monitors: their levels, and where they pass a
 * threshold. */
import { useState } from "preact/hooks";
import { applyProbe, readText } from "../base/api";
import { percent } from "../base/numbers";
import { say } from "../base/session";
import { Store, useStore } from "../base/store";
import { levelOf, share, tokenTexts, visibleToken } from "../base/tokens";
import type { Token, Watched } from "../base/types";
import { FeatureFinder } from "../features/finder";
import { labelOf, useFeature, useFeatures } from "../features/known";
import { colourBy, DEFAULT_THRESHOLD, pins, setThreshold, unpin } from "../features/pins";
import { FeatureName } from "../parts/featureline";
import { ReadTokens, useMaximum } from "../parts/readtokens";
import { Trouble } from "../parts/trouble";
import { lanes } from "../talk/state";
import { count } from "./counts";
import { Curve } from "./curve";
import { type Alert, alertsOf } from "./events";
import { chosenProbe, ProbeList, ProbeReading } from "./probes";
import { Alerts, Replay } from "./replay";
import { liveOf, position, read, type Reading, source } from "./source";

const TOP_FEATURES = 8;
const THRESHOLD_STEP = 0.01;

const text = new Store("");

interface MonitorProps {
    feature: number;
    coloured: boolean;
    tokens: readonly Token[];
    watch: readonly Watched[];
}

function Monitor({ feature, coloured, tokens, watch }: MonitorProps) {
    const about = useFeature(feature);
    const threshold = useStore(pins).thresholds[feature] ?? DEFAULT_THRESHOLD;
    const maximum = useMaximum(feature, watch);
    const watched = watch.some((each) => each.feature === feature);
    const levels = watched ? tokens.map((token) => share(levelOf(token, feature, watch).value, maximum)) : [];
    const counts = count(levels, threshold);
    const texts = tokenTexts(tokens);
    const name = `feature ${feature}, ${labelOf(about)}`;
    return (
        <li class="monitor">
            <p class="pin-head">
                <label class="choice" title="Colour the text by it">
                    <input
                        type="radio"
                        name="coloured"
                        aria-label={`Colour the text by ${name}`}
                        checked={coloured}
                        onChange={() => colourBy(feature)}
                    />
                </label>
                <FeatureName feature={about} />
                <button type="button" class="small" aria-label={`Unpin ${name}`} onClick={() => unpin(feature)}>
                    ✕
                </button>
            </p>
            <p class="slider">
                <input
                    type="range"
                    aria-label={`Threshold of ${name}`}
                    aria-valuetext={percent(threshold)}
                    min={THRESHOLD_STEP}
                    max={1}
                    step={THRESHOLD_STEP}
                    value={threshold}
                    onInput={(event) => setThreshold(feature, event.currentTarget.valueAsNumber)}
                />
                <output>{percent(threshold)}</output>
                <span class="quiet">of its maximum</span>
            </p>
            {levels.length > 0 && (
                <>
                    <Curve levels={levels} threshold={threshold} name={`Levels of ${name} along the text`} />
                    <p class={counts.above > 0 ? "alert" : "quiet"}>
                        {counts.above > 0
                            ? `Above on ${counts.above} of ${counts.tokens} tokens, ${counts.alerts} ${counts.alerts === 1 ? "time" : "times"}, first at “${visibleToken(texts[counts.first] ?? "")}”.`
                            : `Never above on ${counts.tokens} tokens.`}{" "}
                        Active on {counts.active}, at most {percent(counts.strongest)}, mean {percent(counts.mean)}.
                    </p>
                </>
            )}
            {tokens.length > 0 && !watched && <p class="quiet">Pinned since this was read: read it again.</p>}
        </li>
    );
}

/** What is watched: the text, or a lane's answer. */
function Source() {
    const from = useStore(source);
    return (
        <label class="field wide">
            What is watched
            <select
                value={from ?? ""}
                onChange={(event) => {
                    const { value } = event.currentTarget;
                    source.set(value === "" ? null : Number(value));
                    position.set(null);
                }}
            >
                <option value="">a text</option>
                {useStore(lanes).map(({ id }) => (
                    <option key={id} value={id}>
                        the last answer of lane {id} in Talk, as it is written
                    </option>
                ))}
            </select>
        </label>
    );
}

/** Alerts of what is shown, by the pinned features' thresholds. */
function useAlerts(tokens: readonly Token[], watch: readonly Watched[]): Alert[] {
    const { features, thresholds } = useStore(pins);
    const known = useFeatures(features);
    const monitors = features.map((feature) => ({
        feature,
        threshold: thresholds[feature] ?? DEFAULT_THRESHOLD,
        maximum: watch.find((each) => each.feature === feature)?.max_activation ?? known.get(feature)?.max_activation ?? null,
    }));
    return alertsOf(tokens, watch, monitors);
}

export function Watch() {
    const { features, coloured, thresholds } = useStore(pins);
    const now = useStore(text);
    const from = useStore(source);
    const all = useStore(lanes);
    const own = useStore(read);
    const live = from === null ? null : liveOf(all, from);
    const { tokens: whole, watch, probed }: Reading = from === null ? own : (live ?? { tokens: [], watch: [] });
    const shownTo = useStore(position);
    const tokens = shownTo === null ? whole : whole.slice(0, shownTo);
    const alerts = useAlerts(tokens, watch);
    const probe = useStore(chosenProbe);
    const [trouble, setTrouble] = useState<string | null>(null);
    const [busy, setBusy] = useState(false);
    const start = async (): Promise<void> => {
        setBusy(true);
        try {
            const inside = { watch: [...features, ...(probe === null ? [] : [{ probe }])], features: TOP_FEATURES };
            const [reading, score] = await Promise.all([readText(now, inside), probe === null ? null : applyProbe(probe, now)]);
            position.set(null);
            read.set({ ...reading, ...(probe !== null && score ? { probed: { name: probe, score } } : {}) });
            setTrouble(null);
            say("The text is read");
        } catch (error) {
            setTrouble((error as Error).message);
        }
        setBusy(false);
    };
    return (
        <div class="screen" aria-busy={busy}>
            <h1>Watch</h1>
            <div class="feature-columns">
                <div>
                    <section class="panel" aria-labelledby="monitors-title">
                        <h2 id="monitors-title">Monitors</h2>
                        <FeatureFinder />
                        {features.length === 0 && <p class="quiet">Pin features: each is a monitor here.</p>}
                        <ul class="pins">
                            {features.map((feature) => (
                                <Monitor key={feature} feature={feature} coloured={feature === coloured} tokens={tokens} watch={watch} />
                            ))}
                        </ul>
                    </section>
                    <ProbeList />
                </div>
                <div>
                    <Source />
                    {from !== null && !live && <p class="quiet">Nothing was answered there yet: ask in Talk.</p>}
                    {live?.running && <p role="status">The answer is being written.</p>}
                    {from === null && (
                        <form
                            onSubmit={(event) => {
                                event.preventDefault();
                                if (now.trim() && !busy) void start();
                            }}
                        >
                            <label class="field wide">
                                Text to read
                                <textarea
                                    rows={6}
                                    value={now}
                                    onInput={(event) => text.set(event.currentTarget.value)}
                                />
                            </label>
                            <p class="actions">
                                <button type="submit" class="main" disabled={busy || now.trim() === ""}>
                                    {busy ? "Reading …" : "Read"}
                                </button>
                            </p>
                        </form>
                    )}
                    <Trouble text={trouble} />
                    {probed && <ProbeReading name={probed.name} tokens={tokens} watch={watch} score={probed.score} />}
                    {whole.length > 0 && (
                        <section class="panel" aria-labelledby="levels-title">
                            <h2 id="levels-title">Levels</h2>
                            {!live?.running && <Replay n={whole.length} />}
                            <ReadTokens
                                name="The text that was read"
                                tokens={tokens}
                                watch={watch}
                                feature={coloured}
                                threshold={coloured === null ? undefined : (thresholds[coloured] ?? DEFAULT_THRESHOLD)}
                            />
                        </section>
                    )}
                    {whole.length > 0 && features.length > 0 && <Alerts alerts={alerts} tokens={tokens} />}
                </div>
            </div>
        </div>
    );
}
