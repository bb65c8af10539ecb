/* A feature's labels with what each is worth beside its controls, and a form for one's own. */
import { useState } from "preact/hooks";
import { setLabel } from "../base/api";
import { figure, percent } from "../base/numbers";
import { say, status } from "../base/session";
import { useStore } from "../base/store";
import type { Explanation, FeatureDetails } from "../base/types";
import { Trouble } from "../parts/trouble";

const OWN = "user";
const OFFLINE = "offline";

function Evidence({ label }: { label: Explanation }) {
    if (label.score === null) return <p class="quiet">Not scored.</p>;
    /* A person's label is measured on whole texts (fathom label --labelled). */
    const unit = label.typeName === OFFLINE ? "tokens" : "texts";
    return (
        <dl class="pairs">
            <dt title={unit === "texts" ? "Balanced accuracy on labelled texts; 0.5 is chance" : "Balanced accuracy on unseen text with near misses; 0.5 is chance"}>
                Balanced accuracy
            </dt>
            <dd>{figure(label.score)}</dd>
            <dt>… of a shuffled control</dt>
            <dd>{figure(label.shuffled)}</dd>
            <dt>… of its best single token</dt>
            <dd>{figure(label.singleToken)}</dd>
            <dt>Precision, recall, F1</dt>
            <dd>
                {figure(label.precision)}, {figure(label.recall)}, {figure(label.f1)}
            </dd>
            <dt>Holds on</dt>
            <dd>
                {percent(label.prevalence)} of {unit}
            </dd>
            <dt>Scored on</dt>
            <dd>
                {unit === "texts"
                    ? `${label.activeTokens} texts that it holds for, ${label.inactiveTokens} others`
                    : `${label.activeTokens} active, ${label.inactiveTokens} inactive tokens`}
            </dd>
        </dl>
    );
}

function OwnLabel({ details, changed }: { details: FeatureDetails; changed: () => void }) {
    const own = details.explanations.find((label) => label.typeName === OWN)?.description ?? "";
    const [text, setText] = useState(own);
    const [trouble, setTrouble] = useState<string | null>(null);
    const save = async (label: string | null): Promise<void> => {
        try {
            await setLabel(Number(details.index), label);
            setTrouble(null);
            say(label === null ? "Label removed" : "Label saved");
            if (label === null) setText("");
            changed();
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <form
            class="own-label"
            onSubmit={(event) => {
                event.preventDefault();
                if (text.trim()) void save(text.trim());
            }}
        >
            <label class="field wide">
                Your own label
                <input type="text" maxLength={200} value={text} onInput={(event) => setText(event.currentTarget.value)} />
            </label>
            <p class="actions">
                <button type="submit" disabled={text.trim() === "" || text.trim() === own}>
                    Save
                </button>
                <button type="button" disabled={own === ""} onClick={() => void save(null)}>
                    Remove
                </button>
            </p>
            <Trouble text={trouble} />
        </form>
    );
}

function Changes({ details }: { details: FeatureDetails }) {
    const changes = details.labelChanges ?? [];
    if (changes.length === 0) return null;
    return (
        <details class="changes">
            <summary>What it was called</summary>
            <ul>
                {changes.map(({ description, at }, index) => (
                    <li key={index}>
                        <time dateTime={at} class="quiet number">
                            {at.slice(0, 16).replace("T", " ")}
                        </time>{" "}
                        {description ?? <em>label removed</em>}
                    </li>
                ))}
            </ul>
        </details>
    );
}

export function Labels({ details, changed }: { details: FeatureDetails; changed: () => void }) {
    const readOnly = useStore(status)?.read_only ?? true;
    return (
        <section class="panel" aria-labelledby="labels-title">
            <h2 id="labels-title">Labels</h2>
            {details.explanations.length === 0 && <p class="quiet">No label holds for it.</p>}
            {details.explanations.map((label) => (
                <div key={label.typeName} class="label-entry">
                    <p>
                        <strong>{label.description}</strong> <span class="quiet">{label.typeName}</span>
                    </p>
                    <Evidence label={label} />
                </div>
            ))}
            <Changes details={details} />
            {readOnly ? (
                <p class="quiet">This server is read-only: labels cannot be changed.</p>
            ) : (
                <OwnLabel key={details.index} details={details} changed={changed} />
            )}
        </section>
    );
}
