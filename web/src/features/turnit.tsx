/* From a feature to a conversation in which it is turned. */
import { useState } from "preact/hooks";
import { withEdit } from "../talk/lanes";
import { changeLane, lanes, selected } from "../talk/state";
import { pin } from "./pins";

const LEAST = -5;
const MOST = 5;
const STEP = 0.05;

export function TurnIt({ feature }: { feature: number }) {
    const [strength, setStrength] = useState(1);
    const go = (): void => {
        const lane = lanes.get().find((each) => each.id === selected.get()) ?? lanes.get()[0];
        if (!lane) return;
        pin(feature);
        changeLane(lane.id, (now) => withEdit(now, { feature, mode: "add", strength, rows: "all" }));
        location.hash = "#/talk";
    };
    return (
        <section class="panel" aria-labelledby="turn-title">
            <h2 id="turn-title">Turn it</h2>
            <p class="slider">
                <input
                    type="range"
                    aria-label="Strength"
                    aria-valuetext={`${strength} times its maximum`}
                    min={LEAST}
                    max={MOST}
                    step={STEP}
                    value={strength}
                    onInput={(event) => setStrength(event.currentTarget.valueAsNumber)}
                />
                <output>{strength.toFixed(2)}</output>
                <span class="quiet">× its maximum</span>
                <button type="button" onClick={go}>
                    Talk with it
                </button>
            </p>
        </section>
    );
}
