/* An answer: its tokens in colour, what it was asked with, and what can be done with it. */
import { useState } from "preact/hooks";
import { percent } from "../base/numbers";
import { useStore } from "../base/store";
import { levelOf, share } from "../base/tokens";
import { labelOf, useFeatures } from "../features/known";
import { pins } from "../features/pins";
import { ReadTokens, useMaximum } from "../parts/readtokens";
import { Trouble } from "../parts/trouble";
import { acts, type Answer, editSign, type Lane, MOST_LANES } from "./lanes";
import { askAgain, canRead, readAgain, stop } from "./run";
import { forkLane, lanes } from "./state";

/** How far the chosen feature lit up in an answer. */
function Summary({ answer, feature }: { answer: Answer; feature: number }) {
    const maximum = useMaximum(feature, answer.watch);
    const about = useFeatures([feature]).get(feature) ?? { feature };
    const levels = answer.tokens.map((token) => levelOf(token, feature, answer.watch));
    if (levels.length === 0) return null;
    const strongest = Math.max(...levels.map((level) => level.value));
    const active = levels.filter((level) => level.value > 0).length;
    return (
        <p class="quiet">
            {labelOf(about)}: at most {percent(share(strongest, maximum))} of its maximum, active on {active} of{" "}
            {levels.length} tokens
            {levels.some((level) => !level.exact) && ", counted among each token’s strongest features only"}
        </p>
    );
}

function EditsOf({ answer }: { answer: Answer }) {
    const edits = answer.edits.filter(acts);
    const known = useFeatures(edits.map((edit) => edit.feature));
    if (answer.plan.trim()) return <span class="quiet">steered: {answer.plan.trim()}</span>;
    if (edits.length === 0) return <span class="quiet">plain</span>;
    return (
        <span class="quiet">
            steered:{" "}
            {edits.map((edit) => `${labelOf(known.get(edit.feature) ?? edit)} ${editSign(edit)}`).join(", ")}
        </span>
    );
}

const OUTCOME: Record<string, string> = { length: "· cut at the length asked for", stop: "" };

function outcome(answer: Answer): string {
    if (answer.state === "running") return "· answering …";
    if (answer.state === "stopped") return "· stopped";
    return answer.finish ? (OUTCOME[answer.finish] ?? `· ${answer.finish}`) : "";
}

interface Props {
    lane: Lane;
    turn: number;
    answer: Answer;
    name: string;
}

export function AnswerView({ lane, turn, answer, name }: Props) {
    const { features, coloured, thresholds } = useStore(pins);
    /* A monitor of Watch marks here, too, what is above its threshold. */
    const threshold = coloured === null ? undefined : thresholds[coloured];
    const full = useStore(lanes).length >= MOST_LANES;
    const [trouble, setTrouble] = useState<string | null>(null);
    const last = turn === lane.turns.length - 1;
    const unread = features.some((feature) => !answer.watch.some((watched) => watched.feature === feature));
    const read = async (): Promise<void> => {
        try {
            await readAgain(lane.id, turn);
            setTrouble(null);
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <div class="answer" aria-busy={answer.state === "running"}>
            {answer.tokens.length > 0 ? (
                <ReadTokens
                    name={name}
                    tokens={answer.tokens}
                    watch={answer.watch}
                    feature={coloured}
                    threshold={threshold}
                />
            ) : (
                <p class="plain-text">{answer.text}</p>
            )}
            <Trouble text={answer.error ?? trouble} />
            {coloured !== null && <Summary answer={answer} feature={coloured} />}
            <p class="answer-foot">
                <EditsOf answer={answer} /> <span class="quiet">{outcome(answer)}</span>
                <span class="actions">
                    {answer.state === "running" ? (
                        <button type="button" class="small" onClick={() => stop(lane.id)}>
                            Stop
                        </button>
                    ) : (
                        <>
                            {last && (
                                <button type="button" class="small" onClick={() => askAgain(lane)}>
                                    Ask again
                                </button>
                            )}
                            <button
                                type="button"
                                class="small"
                                disabled={full}
                                onClick={() => forkLane(lane, turn + 1)}
                            >
                                Fork from here
                            </button>
                            {unread && canRead(answer) && (
                                <button type="button" class="small" onClick={() => void read()}>
                                    Read new pins
                                </button>
                            )}
                        </>
                    )}
                </span>
            </p>
            {answer.promptTokens.length > 0 && (
                <details>
                    <summary>What the model read: {answer.promptTokens.length} tokens</summary>
                    <ReadTokens
                        name="What the model read"
                        tokens={answer.promptTokens}
                        watch={answer.watch}
                        feature={coloured}
                        threshold={threshold}
                    />
                </details>
            )}
        </div>
    );
}
