/* A small search by words whose hits can be pinned. */
import { useState } from "preact/hooks";
import { search } from "../base/api";
import { status } from "../base/session";
import type { ShortFeature } from "../base/types";
import { FeatureName } from "../parts/featureline";
import { PinButton } from "../parts/pinbutton";
import { Trouble } from "../parts/trouble";
import { keep } from "./known";
import { pin } from "./pins";

const MOST_HITS = 8;

export function FeatureFinder() {
    const [words, setWords] = useState("");
    const [hits, setHits] = useState<ShortFeature[] | null>(null);
    const [trouble, setTrouble] = useState<string | null>(null);
    const find = async (): Promise<void> => {
        try {
            const number = /^\d+$/.test(words.trim()) ? Number(words.trim()) : null;
            if (number !== null) {
                const total = status.get()?.dictionary?.features ?? 0;
                if (number >= total) throw new Error(`the dictionary's features are 0 to ${total - 1}`);
                pin(number);
                setTrouble(null);
                setWords("");
                return;
            }
            const found = (await search({ words: words.trim(), limit: MOST_HITS })).features;
            keep(found);
            setHits(found);
            setTrouble(null);
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <div class="finder">
            <form
                role="search"
                aria-label="Features to pin"
                onSubmit={(event) => {
                    event.preventDefault();
                    if (words.trim()) void find();
                }}
            >
                <input
                    type="search"
                    aria-label="Words, or a feature’s number"
                    placeholder="words, or a number"
                    value={words}
                    onInput={(event) => {
                        setWords(event.currentTarget.value);
                        if (event.currentTarget.value === "") setHits(null);
                    }}
                />
                <button type="submit">Find</button>
            </form>
            <Trouble text={trouble} />
            {hits && (
                <ul class="hits" aria-label="Features found">
                    {hits.length === 0 && <li class="quiet">No label fits.</li>}
                    {hits.map((hit) => (
                        <li key={hit.feature}>
                            <FeatureName feature={hit} />
                            <PinButton feature={hit} />
                        </li>
                    ))}
                </ul>
            )}
        </div>
    );
}
