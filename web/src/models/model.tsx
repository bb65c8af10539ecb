/* What is loaded, its limits, its hook points, and what doctor finds. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getHooks } from "../base/api";
import { bytes, whole } from "../base/numbers";
import { loadStatus, status } from "../base/session";
import { useStore } from "../base/store";
import type { Hook, Status } from "../base/types";
import { Trouble } from "../parts/trouble";
import { Doctor } from "./doctor";

function Pairs({ title, pairs }: { title: string; pairs: [string, ComponentChildren][] }) {
    return (
        <section class="panel">
            <h2>{title}</h2>
            <dl class="pairs">
                {pairs.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name} value`}>{value}</dd>])}
            </dl>
        </section>
    );
}

function modelPairs({ model, engine, version }: Status): [string, ComponentChildren][] {
    return [
        ["Name", model.name],
        ["Architecture", model.architecture],
        ["Quantisation", model.quantisation],
        ["Parameters", whole(model.parameters)],
        ["Layers", whole(model.layers)],
        ["Width", whole(model.d_model)],
        ["Vocabulary", whole(model.vocabulary)],
        ["Chat template", model.chat_template ? "yes" : "none: texts are gone on from"],
        ["Identity", <code key="identity">{model.identity}</code>],
        ["Engine", engine],
        ["Fathom", version],
    ];
}

function serverPairs({ limits, running, waiting, read_only }: Status): [string, ComponentChildren][] {
    return [
        ["Answers under way", whole(running)],
        ["Requests waiting", `${whole(waiting)} of at most ${whole(limits.queue)}`],
        ["Conversations in one batch", whole(limits.at_once)],
        ["Longest conversation", `${whole(limits.longest)} tokens`],
        ["Longest request", bytes(limits.body_bytes)],
        ["Longest time", `${whole(limits.request_seconds)} s`],
        ["Changes files", read_only ? "no, read-only" : "yes, labels"],
    ];
}

function Hooks({ hooks }: { hooks: Hook[] }) {
    const [words, setWords] = useState("");
    const shown = hooks.filter((hook) => `${hook.name} ${hook.alias}`.includes(words.trim()));
    return (
        <section class="panel" aria-labelledby="hooks-title">
            <h2 id="hooks-title">Hook points</h2>
            <input
                type="search"
                aria-label="Part of a hook point’s name"
                placeholder="part of a name, such as resid_post"
                value={words}
                onInput={(event) => setWords(event.currentTarget.value)}
            />
            <div class="scroll" tabIndex={0} role="region" aria-label="Hook points">
                <table class="list">
                    <thead>
                        <tr>
                            <th scope="col">Name</th>
                            <th scope="col">Short</th>
                            <th scope="col" class="figure">
                                Heads × width
                            </th>
                        </tr>
                    </thead>
                    <tbody>
                        {shown.map((hook) => (
                            <tr key={hook.name}>
                                <td>
                                    <code>{hook.name}</code>
                                </td>
                                <td>
                                    <code>{hook.alias}</code>
                                </td>
                                <td class="figure">
                                    {hook.heads} × {hook.width_per_head}
                                </td>
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
        </section>
    );
}

export function Model() {
    const about = useStore(status);
    const [hooks, setHooks] = useState<Hook[]>([]);
    const [trouble, setTrouble] = useState<string | null>(null);
    useEffect(() => {
        void loadStatus();
        getHooks().then(
            (reply) => setHooks(reply.hooks),
            (error: Error) => setTrouble(error.message),
        );
    }, []);
    if (!about) return <h1>Model</h1>;
    const { dictionary, catalogue } = about;
    return (
        <div class="screen">
            <h1>Model</h1>
            <Trouble text={trouble} />
            <div class="feature-columns even">
                <div>
                    <Pairs title="Model" pairs={modelPairs(about)} />
                    {dictionary ? (
                        <Pairs
                            title="Dictionary"
                            pairs={[
                                ["Name", dictionary.name],
                                ["Architecture", dictionary.architecture],
                                ["Hook point", <code key="hook">{dictionary.hook}</code>],
                                ["Features", whole(dictionary.features)],
                                ["Numbers", dictionary.dtype],
                            ]}
                        />
                    ) : (
                        <p class="quiet">No dictionary is loaded.</p>
                    )}
                    {catalogue && (
                        <Pairs
                            title="Catalogue"
                            pairs={[
                                ["Corpus", catalogue.corpus ?? "not recorded"],
                                ["Tokens", whole(catalogue.tokens)],
                                ["Features alive", whole(catalogue.alive)],
                                ["Features labelled", whole(catalogue.labelled)],
                            ]}
                        />
                    )}
                </div>
                <div>
                    <Pairs title="Server" pairs={serverPairs(about)} />
                    <p>
                        <button type="button" onClick={() => void loadStatus()}>
                            Look again
                        </button>
                    </p>
                    <Doctor />
                    <Hooks hooks={hooks} />
                </div>
            </div>
        </div>
    );
}
