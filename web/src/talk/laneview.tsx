/* One lane: what was said in it, and its title, which is its edits. */
import { useStore } from "../base/store";
import { labelOf, useFeatures } from "../features/known";
import { AnswerView } from "./answerview";
import { acts, editSign, type Lane, MOST_LANES, steerOf } from "./lanes";
import { askAgain, comparePlain, stop } from "./run";
import { closeLane, forkLane, lanes, selected } from "./state";

export function useLaneTitle(lane: Lane): string {
    const edits = lane.edits.filter(acts);
    const known = useFeatures(edits.map((edit) => edit.feature));
    if (lane.plan.trim()) return lane.plan.trim();
    if (edits.length === 0) return "Plain";
    return edits.map((edit) => `${labelOf(known.get(edit.feature) ?? edit)} ${editSign(edit)}`).join(", ");
}

function LaneHead({ lane, number }: { lane: Lane; number: number }) {
    const all = useStore(lanes);
    const chosen = useStore(selected) === lane.id;
    const title = useLaneTitle(lane);
    const full = all.length >= MOST_LANES;
    return (
        <header class="lane-head">
            <h2 title={title}>
                {all.length > 1 && <span class="number">{number} </span>}
                {title}
            </h2>
            {lane.from && (
                <p class="quiet">
                    {lane.from.turns === 1 ? "1 turn" : `${lane.from.turns} turns`} shared with the lane that it was
                    forked from
                </p>
            )}
            <p class="actions">
                {all.length > 1 && (
                    <label class="choice">
                        <input
                            type="radio"
                            name="lane"
                            checked={chosen}
                            onChange={() => selected.set(lane.id)}
                        />
                        sliders turn this one
                    </label>
                )}
                {steerOf(lane) && (
                    <button type="button" class="small" disabled={full} onClick={() => void comparePlain(lane)}>
                        Beside plain
                    </button>
                )}
                <button type="button" class="small" disabled={full} onClick={() => forkLane(lane, lane.turns.length)}>
                    Fork
                </button>
                {all.length > 1 && (
                    <button
                        type="button"
                        class="small"
                        aria-label={`Close lane ${number}`}
                        onClick={() => {
                            stop(lane.id);
                            closeLane(lane.id);
                        }}
                    >
                        Close
                    </button>
                )}
            </p>
        </header>
    );
}

export function LaneView({ lane, number }: { lane: Lane; number: number }) {
    return (
        <section class="lane" aria-label={`Lane ${number}`}>
            <LaneHead lane={lane} number={number} />
            {lane.turns.map((turn, index) => (
                <article key={index} class="turn" aria-label={`Turn ${index + 1}`}>
                    <p class="user">
                        <span class="hidden">You: </span>
                        {turn.user}
                    </p>
                    {turn.answer ? (
                        <AnswerView
                            lane={lane}
                            turn={index}
                            answer={turn.answer}
                            name={`Answer ${index + 1}${number > 1 ? ` in lane ${number}` : ""}`}
                        />
                    ) : (
                        index === lane.turns.length - 1 && (
                            <p>
                                <button type="button" class="small" onClick={() => askAgain(lane)}>
                                    Ask
                                </button>
                            </p>
                        )
                    )}
                </article>
            ))}
        </section>
    );
}
