/* Why a prompt goes on with an answer: every cause taken away in turn, beside a control. */
import { useState } from "preact/hooks";
import { explain } from "../base/api";
import { figure, percent, whole } from "../base/numbers";
import { say } from "../base/session";
import { Store, useStore } from "../base/store";
import { visibleToken } from "../base/tokens";
import type { Explained } from "../base/types";
import { Trouble } from "../parts/trouble";
import { CausingFeatures, CausingTokens } from "./causes";
import { Lens } from "./lens";
import { Patching } from "./patching";

const SHOWN = 12;
const CONTROLS = 8;

const asked = new Store({ prompt: "", answer: "", corrupt: "" });
const report = new Store<Explained | null>(null);

/* An explanation takes as long as its prompt is long squared; other screens may be looked at meanwhile. */
const running = new Store<AbortController | null>(null);
const trouble = new Store<string | null>(null);

async function start(): Promise<void> {
    const { prompt, answer, corrupt } = asked.get();
    const stopper = new AbortController();
    running.set(stopper);
    try {
        const found = await explain(
            {
                prompt,
                ...(answer ? { answer } : {}),
                ...(corrupt ? { corrupt } : {}),
                top: SHOWN,
                controls: CONTROLS,
            },
            stopper.signal,
        );
        report.set(found);
        trouble.set(null);
        say("The explanation is there");
    } catch (error) {
        trouble.set(stopper.signal.aborted ? null : (error as Error).message);
    }
    running.set(null);
}

function Field({ of, name, rows }: { of: "prompt" | "answer" | "corrupt"; name: string; rows: number }) {
    const value = useStore(asked)[of];
    return (
        <label class="field wide">
            {name}
            <textarea
                rows={rows}
                value={value}
                onInput={(event) => asked.update((now) => ({ ...now, [of]: event.currentTarget.value }))}
            />
        </label>
    );
}

function Question() {
    const { prompt } = useStore(asked);
    const busy = useStore(running);
    return (
        <form
            class="fields"
            onSubmit={(event) => {
                event.preventDefault();
                if (prompt.trim() && !busy) void start();
            }}
        >
            <Field of="prompt" name="Prompt" rows={3} />
            <Field of="answer" name="Answer, with the space before it; empty: what the model says" rows={1} />
            <details>
                <summary>Compare with another prompt</summary>
                <Field of="corrupt" name="A prompt of as many tokens, after which the answer is less likely" rows={2} />
            </details>
            <p class="actions">
                <button type="submit" class="main" disabled={busy !== null || prompt.trim() === ""}>
                    {busy ? "Taking causes away …" : "Explain"}
                </button>
                {busy && (
                    <button type="button" onClick={() => busy.abort()}>
                        Stop
                    </button>
                )}
            </p>
        </form>
    );
}

function Report({ explained }: { explained: Explained }) {
    const [pointed, setPointed] = useState<number | null>(null);
    return (
        <>
            <p class="finding">
                <strong>{visibleToken(explained.answer)}</strong> has probability {percent(explained.probability)} (log{" "}
                {figure(explained.log_probability)}); its first token is number {whole(explained.first_token_rank + 1)}{" "}
                of all. Effects are changes of that logarithm when a cause is taken away: below 0 the answer lost.
            </p>
            <CausingTokens explained={explained} pointed={pointed} />
            <div class="feature-columns even">
                <CausingFeatures
                    explained={explained}
                    point={(feature) => setPointed(feature?.position ?? null)}
                />
                <Lens layers={explained.layers} />
            </div>
            <Patching explained={explained} />
        </>
    );
}

export function Explain() {
    const explained = useStore(report);
    const busy = useStore(running);
    return (
        <div class="screen" aria-busy={busy !== null}>
            <h1>Explain</h1>
            <Question />
            <Trouble text={useStore(trouble)} />
            {explained && <Report key={explained.prompt + explained.answer} explained={explained} />}
        </div>
    );
}
