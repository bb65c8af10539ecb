/* What the monitors watch: a text that was read here, or an answer of Talk, as it is being written. */
import { Store } from "../base/store";
import type { Score, Token, Watched } from "../base/types";
import type { Lane } from "../talk/lanes";

export interface Reading {
    tokens: Token[];
    watch: Watched[];
    /** What the probe that was chosen then says. */
    probed?: { name: string; score: Score };
}

export const read = new Store<Reading>({ tokens: [], watch: [] });
/** A lane's number; null: the text. */
export const source = new Store<number | null>(null);
/** How many tokens of it are shown; null: all, and those that still come. */
export const position = new Store<number | null>(null);

export interface Live extends Reading {
    running: boolean;
}

/** The last answer of a lane with the prompt before it; null where there is none. */
export function liveOf(lanes: readonly Lane[], id: number): Live | null {
    const answer = lanes.find((lane) => lane.id === id)?.turns.at(-1)?.answer;
    return answer
        ? { tokens: [...answer.promptTokens, ...answer.tokens], watch: answer.watch, running: answer.state === "running" }
        : null;
}
