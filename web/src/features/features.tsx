/* The dictionary's features: searched by words, by an example text or by an output token, or gone through by number. */
import { useEffect, useState } from "preact/hooks";
import { getFeatures, type Question, search } from "../base/api";
import { figure, percent, whole } from "../base/numbers";
import { status } from "../base/session";
import { Store, useStore } from "../base/store";
import type { ShortFeature } from "../base/types";
import { FeatureName } from "../parts/featureline";
import { PinButton } from "../parts/pinbutton";
import { Trouble } from "../parts/trouble";
import { keep } from "./known";

type By = "words" | "text" | "token";
const BY: Record<By, { name: string; hint: string }> = {
    words: { name: "Words", hint: "words of a label, such as: golden gate" },
    text: { name: "Example text", hint: "a text that the features should light up on" },
    token: { name: "Output token", hint: "one token that the features make likelier; its leading space counts" },
};
const PAGE = 50;
const MOST_HITS = 100;

interface Listing {
    features: ShortFeature[];
    /** Of a page by number. */
    page: { offset: number; total: number } | null;
}

/* What was searched stays while other screens are looked at. */
const asked = new Store<{ by: By; text: string; lowered: boolean }>({ by: "words", text: "", lowered: false });
const listing = new Store<Listing | null>(null);

async function browse(offset: number): Promise<void> {
    const { total, features } = await getFeatures(offset, PAGE);
    keep(features);
    listing.set({ features, page: { offset, total } });
}

async function find(): Promise<void> {
    const { by, text, lowered } = asked.get();
    if (text === "") return browse(0);
    const question: Question = { [by]: text, limit: MOST_HITS, ...(by === "token" ? { lowered } : {}) };
    const { features } = await search(question);
    keep(features);
    listing.set({ features, page: null });
}

function SearchForm({ go }: { go: (work: Promise<void>) => void }) {
    const { by, text, lowered } = useStore(asked);
    return (
        <form
            class="search"
            role="search"
            onSubmit={(event) => {
                event.preventDefault();
                go(find());
            }}
        >
            <fieldset class="choices">
                <legend class="hidden">Search by</legend>
                {(Object.keys(BY) as By[]).map((each) => (
                    <label key={each} class="choice">
                        <input
                            type="radio"
                            name="by"
                            checked={by === each}
                            onChange={() => asked.update((now) => ({ ...now, by: each }))}
                        />
                        {BY[each].name}
                    </label>
                ))}
                {by === "token" && (
                    <label class="choice">
                        <input
                            type="checkbox"
                            checked={lowered}
                            onChange={() => asked.update((now) => ({ ...now, lowered: !now.lowered }))}
                        />
                        made less likely instead
                    </label>
                )}
            </fieldset>
            <p class="search-line">
                <input
                    type="search"
                    aria-label={BY[by].hint}
                    placeholder={BY[by].hint}
                    value={text}
                    onInput={(event) => asked.update((now) => ({ ...now, text: event.currentTarget.value }))}
                />
                <button type="submit" class="main">
                    Search
                </button>
            </p>
        </form>
    );
}

function Row({ feature, scored }: { feature: ShortFeature; scored: boolean }) {
    return (
        <tr>
            <td>
                <FeatureName feature={{ ...feature, label_score: null }} />
            </td>
            {scored && <td class="figure">{figure(feature.search_score)}</td>}
            <td class="figure">{figure(feature.label_score)}</td>
            <td class="figure">{percent(feature.density)}</td>
            <td class="figure wide-only">{figure(feature.max_activation)}</td>
            <td>
                <PinButton feature={feature} />
            </td>
        </tr>
    );
}

function List({ list, go }: { list: Listing; go: (work: Promise<void>) => void }) {
    const { features, page } = list;
    if (features.length === 0) return <p class="quiet">Nothing fits.</p>;
    const scored = page === null;
    return (
        <>
            <table class="list">
                <caption>
                    {page
                        ? `Features ${page.offset} to ${page.offset + features.length - 1} of ${whole(page.total)}`
                        : `${features.length} features, best first`}
                </caption>
                <thead>
                    <tr>
                        <th scope="col">Feature</th>
                        {scored && (
                            <th scope="col" class="figure">
                                Fit
                            </th>
                        )}
                        <th scope="col" class="figure" title="Balanced accuracy of the label on unseen text; 0.5 is chance">
                            Label score
                        </th>
                        <th scope="col" class="figure" title="Share of tokens on which it is active">
                            Density
                        </th>
                        <th scope="col" class="figure wide-only" title="Largest activation in the corpus">
                            Maximum
                        </th>
                        <th scope="col">
                            <span class="hidden">Pin</span>
                        </th>
                    </tr>
                </thead>
                <tbody>
                    {features.map((feature) => (
                        <Row key={feature.feature} feature={feature} scored={scored} />
                    ))}
                </tbody>
            </table>
            {page && (
                <p class="actions">
                    <button
                        type="button"
                        disabled={page.offset === 0}
                        onClick={() => go(browse(Math.max(0, page.offset - PAGE)))}
                    >
                        Before
                    </button>
                    <button
                        type="button"
                        disabled={page.offset + features.length >= page.total}
                        onClick={() => go(browse(page.offset + PAGE))}
                    >
                        After
                    </button>
                </p>
            )}
        </>
    );
}

export function Features() {
    const list = useStore(listing);
    const about = useStore(status);
    const [trouble, setTrouble] = useState<string | null>(null);
    const [busy, setBusy] = useState(false);
    const go = (work: Promise<void>): void => {
        setBusy(true);
        work.then(
            () => setTrouble(null),
            (error: Error) => setTrouble(error.message),
        ).finally(() => setBusy(false));
    };
    useEffect(() => {
        if (listing.get() === null) go(browse(0));
    }, []);
    return (
        <div class="screen" aria-busy={busy}>
            <h1>Features</h1>
            {about?.dictionary && (
                <p class="quiet">
                    {about.dictionary.name}: {whole(about.dictionary.features)} features of {about.dictionary.hook}
                    {about.catalogue &&
                        `, ${whole(about.catalogue.alive)} alive and ${whole(about.catalogue.labelled)} labelled on ${whole(about.catalogue.tokens)} tokens`}
                </p>
            )}
            <SearchForm go={go} />
            <Trouble text={trouble} />
            <div aria-live="polite">{list && <List list={list} go={go} />}</div>
        </div>
    );
}
