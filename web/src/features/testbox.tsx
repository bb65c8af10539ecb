/* A text of one's own, read for a feature. */
import { useState } from "preact/hooks";
import { readText } from "../base/api";
import { figure, percent } from "../base/numbers";
import { levelOf, share } from "../base/tokens";
import type { Token, Watched } from "../base/types";
import { ReadTokens } from "../parts/readtokens";
import { Trouble } from "../parts/trouble";

const TOP_FEATURES = 8;

export function TestBox({ feature, maximum }: { feature: number; maximum: number | null }) {
    const [text, setText] = useState("");
    const [read, setRead] = useState<{ feature: number; tokens: Token[]; watch: Watched[] } | null>(null);
    const [trouble, setTrouble] = useState<string | null>(null);
    const [busy, setBusy] = useState(false);
    const test = async (): Promise<void> => {
        setBusy(true);
        try {
            setRead({ feature, ...(await readText(text, { watch: [feature], features: TOP_FEATURES })) });
            setTrouble(null);
        } catch (error) {
            setTrouble((error as Error).message);
        }
        setBusy(false);
    };
    const shown = read?.feature === feature ? read : null;
    const strongest = Math.max(0, ...(shown?.tokens.map((token) => levelOf(token, feature, shown.watch).value) ?? []));
    return (
        <section class="panel" aria-labelledby="test-title" aria-busy={busy}>
            <h2 id="test-title">Test a text</h2>
            <form
                class="search-line"
                onSubmit={(event) => {
                    event.preventDefault();
                    if (text.trim() && !busy) void test();
                }}
            >
                <textarea
                    rows={2}
                    aria-label="Text to test"
                    value={text}
                    onInput={(event) => setText(event.currentTarget.value)}
                />
                <button type="submit" disabled={busy || text.trim() === ""}>
                    Test
                </button>
            </form>
            <Trouble text={trouble} />
            <div aria-live="polite">
                {shown && (
                    <p class="quiet">
                        At most {figure(strongest)}, {percent(share(strongest, maximum))} of its maximum.
                    </p>
                )}
            </div>
            {shown && (
                <ReadTokens name="Tested text" tokens={shown.tokens} watch={shown.watch} feature={feature} />
            )}
        </section>
    );
}
