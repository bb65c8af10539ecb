/* Asking: a request for each lane, its events put into the lane's answer as they come. */
import { type Chunk, readText, stream } from "../base/api";
import { sentenceEnd } from "../base/sentences";
import { say, status } from "../base/session";
import { pins } from "../features/pins";
import { type Answer, type Lane, messagesOf, newAnswer, promptOf, steerOf } from "./lanes";
import { addPlain, changeLane, laneOf, lanes, setAnswer, settings } from "./state";

/** Strongest features told of each token. */
const TOP_FEATURES = 8;

const running = new Map<number, AbortController>();

export const isChat = (): boolean => status.get()?.model.chat_template ?? true;
const hasFeatures = (): boolean => status.get()?.dictionary != null;

function requestOf(lane: Lane, turn: number): { path: string; body: object } {
    const { system, temperature, maxTokens, seed } = settings.get();
    const steer = steerOf(lane);
    const inside = hasFeatures()
        ? { watch: pins.get().features, features: TOP_FEATURES, watch_prompt: true, ...(steer ? { steer } : {}) }
        : {};
    const asked = { model: "default", max_tokens: maxTokens, temperature, seed, ...inside };
    return isChat()
        ? { path: "/v1/chat/completions", body: { ...asked, messages: messagesOf(lane, turn, system) } }
        : { path: "/v1/completions", body: { ...asked, prompt: promptOf(lane, turn) } };
}

function take(answer: Answer, chunk: Chunk): Answer {
    const choice = chunk.choices?.[0];
    return {
        ...answer,
        text: answer.text + (choice?.delta?.content ?? choice?.text ?? ""),
        tokens: choice?.tokens ? [...answer.tokens, ...choice.tokens] : answer.tokens,
        promptTokens: choice?.prompt_tokens ?? answer.promptTokens,
        watch: chunk.watch ?? answer.watch,
        seed: chunk.seed ?? answer.seed,
        finish: choice?.finish_reason ?? answer.finish,
    };
}

/** Shows an answer at most once a frame, and says it aloud sentence by sentence. */
class Showing {
    private frame = 0;
    private said = 0;

    constructor(
        private readonly lane: number,
        private readonly turn: number,
        public answer: Answer,
        private readonly aloud: boolean,
    ) {
        this.show();
    }

    add(chunk: Chunk): void {
        this.answer = take(this.answer, chunk);
        if (this.frame === 0) this.frame = requestAnimationFrame(() => this.show());
    }

    end(how: Partial<Answer>): void {
        cancelAnimationFrame(this.frame);
        this.answer = { ...this.answer, ...how };
        this.show();
        if (this.aloud) say(this.answer.text.slice(this.said));
    }

    private show(): void {
        this.frame = 0;
        setAnswer(this.lane, this.turn, this.answer);
        const end = sentenceEnd(this.answer.text, this.said);
        if (!this.aloud || end === this.said) return;
        say(this.answer.text.slice(this.said, end));
        this.said = end;
    }
}

async function answerTurn(id: number, turn: number, aloud: boolean): Promise<boolean> {
    const lane = laneOf(id);
    if (!lane) return false;
    stop(id);
    const controller = new AbortController();
    running.set(id, controller);
    const showing = new Showing(id, turn, newAnswer(lane.edits, lane.plan), aloud);
    const { path, body } = requestOf(lane, turn);
    try {
        await stream(path, body, controller.signal, (chunk) => showing.add(chunk));
        showing.end({ state: "done" });
        return true;
    } catch (error) {
        const stopped = controller.signal.aborted;
        showing.end(stopped ? { state: "stopped" } : { state: "failed", error: (error as Error).message });
        return false;
    } finally {
        if (running.get(id) === controller) running.delete(id);
    }
}

/** Asks in every lane; the first one is read aloud. */
export function askAll(text: string): void {
    for (const { id } of lanes.get()) changeLane(id, (lane) => ({ ...lane, turns: [...lane.turns, { user: text, answer: null }] }));
    lanes.get().forEach((lane, index) => void answerTurn(lane.id, lane.turns.length - 1, index === 0));
}

/** Asks a lane's last question once more, as its edits stand now. */
export function askAgain(lane: Lane): void {
    if (lane.turns.length > 0) void answerTurn(lane.id, lane.turns.length - 1, true);
}

/** Has the plain model answer the same questions beside a lane, one after the other. */
export async function comparePlain(lane: Lane): Promise<void> {
    const plain = addPlain(lane);
    if (!plain) return;
    for (let turn = 0; turn < plain.turns.length; turn++) if (!(await answerTurn(plain.id, turn, false))) return;
}

export function stop(id: number): void {
    running.get(id)?.abort();
}

export function stopAll(): void {
    for (const controller of running.values()) controller.abort();
}

/** Whether the same rows come of reading an answer as came of writing it: its edits did the same to all of them. */
export const canRead = (answer: Answer): boolean =>
    answer.promptTokens.length > 0 && answer.plan.trim() === "" && answer.edits.every((edit) => edit.rows === "all");

/** Reads an answer's tokens once more for the levels of what has been pinned since. */
export async function readAgain(id: number, turn: number): Promise<void> {
    const answer = laneOf(id)?.turns[turn]?.answer;
    if (!answer) return;
    const tokens = [...answer.promptTokens, ...answer.tokens];
    const steer = steerOf(answer);
    const read = await readText(
        tokens.map((token) => token.id),
        { watch: pins.get().features, features: TOP_FEATURES, ...(steer ? { steer } : {}) },
    );
    if (read.tokens.length !== tokens.length) return;
    const n = answer.promptTokens.length;
    setAnswer(id, turn, {
        ...answer,
        promptTokens: read.tokens.slice(0, n),
        tokens: read.tokens.slice(n),
        watch: read.watch,
    });
}
