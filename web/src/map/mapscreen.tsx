/* The dictionary's features in two dimensions: neighbours write similar directions, as far as two dimensions can tell. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { getMap, search } from "../base/api";
import { percent, whole } from "../base/numbers";
import { say, status } from "../base/session";
import { Store, useStore } from "../base/store";
import type { FeatureMap, ShortFeature } from "../base/types";
import { keep, useFeature, useFeatures } from "../features/known";
import { FeatureName } from "../parts/featureline";
import { PinButton } from "../parts/pinbutton";
import { Trouble } from "../parts/trouble";
import { MapCanvas } from "./canvas";
import { Grid } from "./grid";
import { type Size, type View, wholeView } from "./view";

const MOST_HITS = 200;
const LISTED = 10;
const REST = 120; /* milliseconds that a pointer rests before a label is asked for */

const loaded = new Store<{ map: FeatureMap; grid: Grid } | null>(null);
const view = new Store<View | null>(null);
const found = new Store<{ words: string; features: ShortFeature[] }>({ words: "", features: [] });

async function load(): Promise<void> {
    const map = await getMap();
    loaded.set({ map, grid: new Grid(Float32Array.from(map.x), Float32Array.from(map.y)) });
}

/** A value once it has stayed the same for a while. */
function useRested<T>(value: T): T {
    const [rested, setRested] = useState(value);
    useEffect(() => {
        const timer = setTimeout(() => setRested(() => value), REST);
        return () => clearTimeout(timer);
    }, [value]);
    return rested;
}

function Pointed({ feature }: { feature: number }) {
    return <FeatureName feature={useFeature(feature)} />;
}

function Listed({ title, features }: { title: string; features: readonly number[] }) {
    const known = useFeatures(features);
    return (
        <section class="panel" aria-label={title}>
            <h2>{title}</h2>
            {features.length === 0 && <p class="quiet">None.</p>}
            <ul class="hits">
                {features.map((feature) => (
                    <li key={feature}>
                        <FeatureName feature={known.get(feature) ?? { feature }} />
                        <PinButton feature={known.get(feature) ?? { feature }} />
                    </li>
                ))}
            </ul>
        </section>
    );
}

function Finder() {
    const [words, setWords] = useState(found.get().words);
    const [trouble, setTrouble] = useState<string | null>(null);
    const go = async (): Promise<void> => {
        try {
            const features = words.trim() ? (await search({ words: words.trim(), limit: MOST_HITS })).features : [];
            keep(features);
            found.set({ words, features });
            setTrouble(null);
            say(`${features.length} features are marked`);
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <form
            class="search"
            role="search"
            aria-label="Features to mark"
            onSubmit={(event) => {
                event.preventDefault();
                void go();
            }}
        >
            <p class="search-line">
                <input
                    type="search"
                    aria-label="Words of labels"
                    placeholder="words of labels, to mark them"
                    value={words}
                    onInput={(event) => setWords(event.currentTarget.value)}
                />
                <button type="submit" class="main">
                    Mark
                </button>
            </p>
            <Trouble text={trouble} />
        </form>
    );
}

function MapOf({ map, grid }: { map: FeatureMap; grid: Grid }) {
    const seen = useStore(view);
    const hits = useStore(found).features;
    const [pointed, setPointed] = useState<number | null>(null);
    const [size, setSize] = useState<Size>({ width: 1, height: 1 });
    const marked = useMemo(() => hits.map(({ feature }) => feature), [hits]);
    const middle = useRested(seen);
    const told = useRested(pointed);
    const central = useMemo(() => {
        const at = middle ?? wholeView(grid.box, size);
        return grid.nearest(at.x, at.y, Math.max(size.width, size.height) / 2 / at.scale, LISTED);
    }, [grid, middle, size]);
    return (
        <>
            <p class="quiet">
                {whole(map.features)} features, those with similar decoder directions near each other. Of a feature’s {map.neighbours} nearest ones{" "}
                {percent(map.kept)} are among the {map.neighbours} nearest here; a map of two principal components keeps{" "}
                {percent(map.kept_by_components)}, and places without order {percent(map.kept_by_chance)}. What lies far apart here may still be alike.
            </p>
            <div class="map">
                <MapCanvas
                    grid={grid}
                    view={seen}
                    change={(next) => view.set(next)}
                    marked={marked}
                    pointed={pointed}
                    point={setPointed}
                    choose={(feature) => (location.hash = `#/features/${feature}`)}
                    resized={setSize}
                />
                <p class="map-told">{told === null ? <span class="quiet">Point at a feature.</span> : <Pointed feature={told} />}</p>
            </div>
            <p class="actions">
                <button type="button" disabled={seen === null} onClick={() => view.set(null)}>
                    Show all
                </button>
                <span class="quiet">drag, wheel or pinch; keys: arrows, +, −, 0</span>
            </p>
            <div class="feature-columns even">
                <Listed title="In the middle" features={central} />
                {marked.length > 0 && <Listed title={`Marked: ${marked.length}`} features={marked.slice(0, LISTED)} />}
            </div>
        </>
    );
}

export function MapScreen() {
    const now = useStore(loaded);
    const about = useStore(status);
    const [trouble, setTrouble] = useState<string | null>(null);
    useEffect(() => {
        if (!loaded.get()) load().then(() => setTrouble(null), (error: Error) => setTrouble(error.message));
    }, []);
    return (
        <div class="screen" aria-busy={now === null && trouble === null}>
            <h1>Map</h1>
            <Trouble text={trouble} />
            {!now && !trouble && <p class="quiet">The map of {about?.dictionary?.name ?? "the dictionary"} is being made …</p>}
            {now && (
                <>
                    <Finder />
                    <MapOf {...now} />
                </>
            )}
        </div>
    );
}
