/* The pinned features: which one colours the tokens, and how far each is turned in the lane that is chosen. */
import { useStore } from "../base/store";
import { percent } from "../base/numbers";
import type { Mode, Rows } from "../base/types";
import { labelOf, useFeature } from "../features/known";
import { colourBy, pins, unpin } from "../features/pins";
import { FeatureFinder } from "../features/finder";
import { FeatureName } from "../parts/featureline";
import { type Edit, type Lane, withEdit, withoutEdit } from "./lanes";
import { changeLane, lanes, selected } from "./state";
import { useLaneTitle } from "./laneview";

const MODES: Record<Mode | "none", string> = {
    none: "watch only",
    add: "add",
    clamp: "hold at",
    ablate: "switch off",
};
const ROWS: Record<Rows, string> = { all: "everywhere", prompt: "in the prompt", answer: "in the answer" };
const RANGES: Record<"add" | "clamp", { least: number; most: number }> = {
    add: { least: -5, most: 5 },
    clamp: { least: 0, most: 5 },
};
const STEP = 0.05;
const FIRST_STRENGTH = 1;

function Slider({ edit, name, change }: { edit: Edit; name: string; change: (edit: Edit) => void }) {
    if (edit.mode === "ablate") return null;
    const { least, most } = RANGES[edit.mode];
    const take = (text: string): void => {
        const strength = Number(text);
        if (text !== "" && Number.isFinite(strength)) change({ ...edit, strength });
    };
    return (
        <p class="slider">
            <input
                type="range"
                aria-label={`Strength of ${name}`}
                aria-valuetext={`${edit.strength} times its maximum`}
                min={least}
                max={most}
                step={STEP}
                value={edit.strength}
                onInput={(event) => take(event.currentTarget.value)}
            />
            <input
                type="number"
                aria-label={`Strength of ${name}, as a number`}
                step={STEP}
                value={edit.strength}
                onChange={(event) => take(event.currentTarget.value)}
            />
            <span class="quiet">× max</span>
        </p>
    );
}

function PinnedFeature({ feature, lane, coloured }: { feature: number; lane: Lane; coloured: boolean }) {
    const about = useFeature(feature);
    const name = `feature ${feature}, ${labelOf(about)}`;
    const edit = lane.edits.find((each) => each.feature === feature);
    const change = (next: Edit): void => changeLane(lane.id, (now) => withEdit(now, next));
    const setMode = (mode: string): void => {
        if (mode === "none") return changeLane(lane.id, (now) => withoutEdit(now, feature));
        const { strength, rows } = edit ?? { strength: FIRST_STRENGTH, rows: "all" as Rows };
        change({ feature, mode: mode as Mode, strength: mode === "clamp" ? Math.max(0, strength) : strength, rows });
    };
    return (
        <li class="pin">
            <p class="pin-head">
                <label class="choice" title="Colour tokens by it">
                    <input
                        type="radio"
                        name="coloured"
                        aria-label={`Colour tokens by ${name}`}
                        checked={coloured}
                        onChange={() => colourBy(feature)}
                    />
                </label>
                <FeatureName feature={about} />
                <button
                    type="button"
                    class="small"
                    aria-label={`Unpin ${name}`}
                    onClick={() => unpin(feature)}
                >
                    ✕
                </button>
            </p>
            <p class="pin-edit">
                <select
                    aria-label={`What is done to ${name}`}
                    value={edit?.mode ?? "none"}
                    onChange={(event) => setMode(event.currentTarget.value)}
                >
                    {Object.entries(MODES).map(([mode, text]) => (
                        <option key={mode} value={mode}>
                            {text}
                        </option>
                    ))}
                </select>
                {edit && (
                    <select
                        aria-label={`Where ${name} is turned`}
                        value={edit.rows}
                        onChange={(event) => change({ ...edit, rows: event.currentTarget.value as Rows })}
                    >
                        {Object.entries(ROWS).map(([rows, text]) => (
                            <option key={rows} value={rows}>
                                {text}
                            </option>
                        ))}
                    </select>
                )}
                <span class="quiet">active on {percent(about.density)} of tokens</span>
            </p>
            {edit && <Slider edit={edit} name={name} change={change} />}
        </li>
    );
}

function PlanText({ lane }: { lane: Lane }) {
    return (
        <details class="plan" open={lane.plan.trim() !== ""}>
            <summary>A plan as text</summary>
            <label class="field wide">
                In the place of the sliders, such as: "golden gate" +1 while answering
                <textarea
                    rows={2}
                    value={lane.plan}
                    onChange={(event) => {
                        const plan = event.currentTarget.value;
                        changeLane(lane.id, (now) => ({ ...now, plan }));
                    }}
                />
            </label>
        </details>
    );
}

function PinList({ lane }: { lane: Lane }) {
    const { features, coloured } = useStore(pins);
    const several = useStore(lanes).length > 1;
    const title = useLaneTitle(lane);
    if (features.length === 0)
        return (
            <p class="quiet">
                Search for a feature, or open a token’s card, and pin it: tokens are coloured by it, and a slider turns
                it.
            </p>
        );
    return (
        <>
            {several && <p class="quiet">Sliders turn: {title}</p>}
            {lane.edits.length > 0 && <p class="quiet">Levels are those after the edits.</p>}
            <ul class="pins">
                {features.map((feature) => (
                    <PinnedFeature key={feature} feature={feature} lane={lane} coloured={feature === coloured} />
                ))}
            </ul>
            {coloured !== null && (
                <button type="button" class="small" onClick={() => colourBy(null)}>
                    No colour
                </button>
            )}
        </>
    );
}

export function PinsPanel() {
    const all = useStore(lanes);
    const chosen = useStore(selected);
    const lane = all.find((each) => each.id === chosen) ?? all[0];
    if (!lane) return null;
    return (
        <section class="panel" aria-labelledby="pins-title">
            <h2 id="pins-title">Features at hand</h2>
            <FeatureFinder />
            <PinList lane={lane} />
            <PlanText key={lane.id} lane={lane} />
        </section>
    );
}
