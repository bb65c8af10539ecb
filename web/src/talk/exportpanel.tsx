/* The lane that is chosen, as a program or a plan. */
import { useState } from "preact/hooks";
import { say } from "../base/session";
import { useStore } from "../base/store";
import { useFeatures } from "../features/known";
import { pins } from "../features/pins";
import { exportAs, type Format, formats } from "./export";
import { messagesOf, promptOf } from "./lanes";
import { isChat } from "./run";
import { lanes, selected, settings } from "./state";

const NAMES: Record<Format, string> = { curl: "curl", Python: "Python", C: "C", plan: "Plan (JSON)" };

export function ExportPanel() {
    const [format, setFormat] = useState<Format>("curl");
    const [copied, setCopied] = useState(false);
    const all = useStore(lanes);
    const chosen = useStore(selected);
    const { features } = useStore(pins);
    const { system, temperature, maxTokens, seed } = useStore(settings);
    const lane = all.find((each) => each.id === chosen) ?? all[0];
    const known = useFeatures(lane?.edits.map((edit) => edit.feature) ?? []);
    if (!lane) return null;
    const last = lane.turns.length - 1;
    const text = exportAs(format, {
        origin: location.origin,
        messages: isChat() ? messagesOf(lane, last, system) : null,
        prompt: promptOf(lane, last),
        edits: lane.edits,
        plan: lane.plan,
        watch: features,
        temperature,
        maxTokens,
        seed,
        maxima: new Map(lane.edits.map(({ feature }) => [feature, known.get(feature)?.max_activation ?? 0])),
    });
    const copy = async (): Promise<void> => {
        try {
            await navigator.clipboard.writeText(text);
            setCopied(true);
            say("Copied");
        } catch {
            say("The browser does not let this page copy");
        }
    };
    return (
        <details class="panel">
            <summary>Take it along</summary>
            <div class="actions" role="group" aria-label="Form">
                {formats.map((each) => (
                    <button
                        key={each}
                        type="button"
                        class="small"
                        aria-pressed={each === format}
                        onClick={() => {
                            setFormat(each);
                            setCopied(false);
                        }}
                    >
                        {NAMES[each]}
                    </button>
                ))}
                <button type="button" class="small main" onClick={() => void copy()}>
                    {copied ? "Copied" : "Copy"}
                </button>
            </div>
            {last < 0 && format !== "plan" && <p class="quiet">Ask something first: its question stands here then.</p>}
            <pre class="code" tabIndex={0} aria-label={NAMES[format]}>
                {text}
            </pre>
        </details>
    );
}
