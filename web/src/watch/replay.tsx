/* A text once more, token by token, and what alerted on the way. */
import { useEffect, useState } from "preact/hooks";
import { percent, whole } from "../base/numbers";
import { say } from "../base/session";
import { useStore } from "../base/store";
import { tokenTexts, visibleToken } from "../base/tokens";
import type { Token } from "../base/types";
import { labelOf, useFeatures } from "../features/known";
import type { Alert } from "./events";
import { position } from "./source";

const RATES = [4, 16, 64]; /* tokens a second */
const SECOND = 1000; /* milliseconds */

/** Goes on by a token at the rate until the end, where all is shown again. */
function usePlaying(n: number, rate: number): [boolean, (playing: boolean) => void] {
    const [playing, setPlaying] = useState(false);
    useEffect(() => {
        if (!playing) return;
        const timer = setInterval(() => {
            const next = (position.get() ?? 0) + 1;
            position.set(next < n ? next : null);
            if (next >= n) setPlaying(false);
        }, SECOND / rate);
        return () => clearInterval(timer);
    }, [playing, n, rate]);
    return [playing, setPlaying];
}

export function Replay({ n }: { n: number }) {
    const at = useStore(position);
    const [rate, setRate] = useState(RATES[1] ?? 1);
    const [playing, setPlaying] = usePlaying(n, rate);
    return (
        <p class="actions replay">
            <button
                type="button"
                class="small"
                onClick={() => {
                    if (!playing && at === null) position.set(0);
                    setPlaying(!playing);
                }}
            >
                {playing ? "Pause" : "Replay"}
            </button>
            <input
                type="range"
                aria-label="Tokens shown"
                aria-valuetext={`${at ?? n} of ${n} tokens`}
                min={0}
                max={n}
                value={at ?? n}
                onInput={(event) => {
                    const to = event.currentTarget.valueAsNumber;
                    position.set(to < n ? to : null);
                }}
            />
            <output>
                {whole(at ?? n)} of {whole(n)}
            </output>
            <label class="choice">
                <select value={rate} onChange={(event) => setRate(Number(event.currentTarget.value))}>
                    {RATES.map((each) => (
                        <option key={each} value={each}>
                            {each}
                        </option>
                    ))}
                </select>
                tokens a second
            </label>
        </p>
    );
}

export function Alerts({ alerts, tokens }: { alerts: readonly Alert[]; tokens: readonly Token[] }) {
    const known = useFeatures(alerts.map(({ feature }) => feature));
    const texts = tokenTexts(tokens);
    const nameOf = (feature: number): string => `feature ${feature}, ${labelOf(known.get(feature) ?? { feature })}`;
    const last = alerts.at(-1);
    useEffect(() => {
        if (last) say(`Alert: ${nameOf(last.feature)}`);
    }, [alerts.length]);
    return (
        <section class="panel" aria-labelledby="alerts-title">
            <h2 id="alerts-title">Alerts</h2>
            {alerts.length === 0 && <p class="quiet">None so far.</p>}
            <ol class="scroll entries">
                {alerts.map(({ feature, at, strongest }) => (
                    <li key={`${feature} ${at}`} class="alert">
                        <button type="button" class="small" aria-label={`Show the text up to token ${at + 1}`} onClick={() => position.set(at + 1)}>
                            {at + 1}
                        </button>{" "}
                        “{visibleToken(texts[at] ?? "")}”: {nameOf(feature)}, {percent(strongest)}
                    </li>
                ))}
            </ol>
        </section>
    );
}
