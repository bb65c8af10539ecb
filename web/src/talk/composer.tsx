/* Where one writes. */
import { useState } from "preact/hooks";
import { status } from "../base/session";
import { useStore } from "../base/store";
import { askAll, isChat, stopAll } from "./run";
import { lanes, startAnew } from "./state";

export function Composer() {
    const [text, setText] = useState("");
    const all = useStore(lanes);
    useStore(status);
    const busy = all.some((lane) => lane.turns.some((turn) => turn.answer?.state === "running"));
    const begun = all.some((lane) => lane.turns.length > 0);
    const send = (): void => {
        if (busy || text.trim() === "") return;
        askAll(isChat() ? text.trim() : text);
        setText("");
    };
    return (
        <form
            class="composer"
            onSubmit={(event) => {
                event.preventDefault();
                send();
            }}
        >
            <label class="hidden" for="message">
                {isChat() ? "Your message" : "Text to go on from"}
            </label>
            <textarea
                id="message"
                rows={3}
                value={text}
                placeholder={
                    isChat()
                        ? "Ask something. Enter sends, Shift + Enter begins a line."
                        : "This model has no chat template: write the beginning of a text, and it goes on."
                }
                onInput={(event) => setText(event.currentTarget.value)}
                onKeyDown={(event) => {
                    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
                    event.preventDefault();
                    send();
                }}
            />
            <p class="actions">
                {busy ? (
                    <button type="button" onClick={stopAll}>
                        Stop
                    </button>
                ) : (
                    <button type="submit" class="main" disabled={text.trim() === ""}>
                        {isChat() ? "Send" : "Go on"}
                    </button>
                )}
                <button type="button" disabled={busy || !begun} onClick={startAnew}>
                    New conversation
                </button>
            </p>
        </form>
    );
}
