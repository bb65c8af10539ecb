/* A conversation in lanes: each has its own edits and its own answers to what the user says. Nothing here changes what
 * it is given. */
import type { Message, Mode, Rows, SteerEdit, Token, Watched } from "../base/types";

export interface Edit {
    feature: number;
    mode: Mode;
    /** Multiples of the feature's largest activation; of no meaning to "ablate". */
    strength: number;
    rows: Rows;
}

export interface Answer {
    plan: string;
    text: string;
    tokens: Token[];
    promptTokens: Token[];
    watch: Watched[];
    edits: Edit[];
    seed: number | null;
    state: "running" | "done" | "stopped" | "failed";
    finish: string | null;
    error: string | null;
}

export interface Turn {
    user: string;
    answer: Answer | null;
}

export interface Lane {
    id: number;
    edits: Edit[];
    /** A plan as text (docs/steering.md); where there is one, the edits stand aside. */
    plan: string;
    turns: Turn[];
    /** Of a fork: the lane it came from, and how many turns they share. */
    from: { lane: number; turns: number } | null;
}

export const MOST_LANES = 4;

export const newLane = (id: number, edits: Edit[] = []): Lane => ({ id, edits, plan: "", turns: [], from: null });

export const newAnswer = (edits: Edit[], plan = ""): Answer => ({
    plan,
    text: "",
    tokens: [],
    promptTokens: [],
    watch: [],
    edits,
    seed: null,
    state: "running",
    finish: null,
    error: null,
});

/** An edit that changes nothing is none: adding 0. */
export const acts = (edit: Edit): boolean => edit.mode !== "add" || edit.strength !== 0;

/** What a request's "steer" says; undefined: nothing. */
export function steerOf({ edits, plan }: { edits: readonly Edit[]; plan: string }): SteerEdit[] | string | undefined {
    if (plan.trim()) return plan.trim();
    const list = edits
        .filter(acts)
        .map(({ feature, mode, strength, rows }) =>
            mode === "ablate" ? { feature, mode, rows } : { feature, mode, strength, rows },
        );
    return list.length > 0 ? list : undefined;
}

/** What a chat's request holds: everything up to and with turn `last`'s question. */
export function messagesOf(lane: Lane, last: number, system: string): Message[] {
    const messages: Message[] = system.trim() ? [{ role: "system", content: system }] : [];
    lane.turns.slice(0, last + 1).forEach((turn, index) => {
        messages.push({ role: "user", content: turn.user });
        if (index < last && turn.answer) messages.push({ role: "assistant", content: turn.answer.text });
    });
    return messages;
}

/** The same as running text, for models that have no chat template. */
export function promptOf(lane: Lane, last: number): string {
    return lane.turns
        .slice(0, last + 1)
        .map((turn, index) => turn.user + (index < last ? (turn.answer?.text ?? "") : ""))
        .join("");
}

/** A new lane that shares the first `turns` turns and begins with the same edits. An answer under way goes on in its own
 * lane alone: the copy ends where it was. */
export function fork(lane: Lane, turns: number, id: number): Lane {
    const shared = lane.turns
        .slice(0, turns)
        .map((turn): Turn =>
            turn.answer?.state === "running" ? { ...turn, answer: { ...turn.answer, state: "stopped" } } : turn,
        );
    return { id, edits: lane.edits, plan: lane.plan, turns: shared, from: { lane: lane.id, turns } };
}

export function withEdit(lane: Lane, edit: Edit): Lane {
    const others = lane.edits.filter((other) => other.feature !== edit.feature);
    return { ...lane, edits: [...others, edit].sort((a, b) => a.feature - b.feature) };
}

export const withoutEdit = (lane: Lane, feature: number): Lane => ({
    ...lane,
    edits: lane.edits.filter((edit) => edit.feature !== feature),
});

export const withAnswer = (lane: Lane, turn: number, answer: Answer | null): Lane => ({
    ...lane,
    turns: lane.turns.map((each, index) => (index === turn ? { ...each, answer } : each)),
});

/** An edit in a few characters: "+2", "=1.5", "off". */
export function editSign(edit: Edit): string {
    if (edit.mode === "ablate") return "off";
    if (edit.mode === "clamp") return `=${edit.strength}`;
    return edit.strength < 0 ? `−${-edit.strength}` : `+${edit.strength}`;
}
