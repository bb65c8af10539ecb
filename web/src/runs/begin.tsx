/* A form for a job: training, indexing, a scan or an evaluation, on files that the server's data folder has. */
import { useState } from "preact/hooks";
import { beginJob } from "../base/api";
import { say } from "../base/session";
import { Store, useStore } from "../base/store";
import type { Jobs } from "../base/types";
import { Trouble } from "../parts/trouble";
import { look } from "./jobs";
import { type Command, type Form, isWhole, makes, mayHaveLabels, onProbe, type Option, OPTIONS, requestOf } from "./request";

const COMMANDS: Record<Command, string> = {
    train: "Train a dictionary",
    index: "Index a corpus",
    eval: "Evaluate a dictionary",
    watch: "Scan a corpus",
    "probe train": "Train a probe",
    "probe eval": "Evaluate a probe",
};

const firstValues = (command: Command): Record<string, string> =>
    Object.fromEntries(OPTIONS[command].map(({ name, value }) => [name, value]));

const form = new Store<Form>({
    command: "train",
    corpus: "",
    dictionary: "",
    probe: "",
    output: "",
    repeat: false,
    labelled: false,
    values: {
        train: firstValues("train"),
        index: firstValues("index"),
        eval: firstValues("eval"),
        watch: firstValues("watch"),
        "probe train": firstValues("probe train"),
        "probe eval": firstValues("probe eval"),
    },
});

function Choice({ text, of, names, none }: { text: string; of: "corpus" | "dictionary" | "probe"; names: string[]; none: string }) {
    const value = useStore(form)[of];
    return (
        <label class="field">
            {text}
            <select value={value} onChange={(event) => form.update((now) => ({ ...now, [of]: event.currentTarget.value }))}>
                <option value="">{none}</option>
                {names.map((name) => (
                    <option key={name} value={name}>
                        {name}
                    </option>
                ))}
            </select>
        </label>
    );
}

function OptionField({ command, option }: { command: Command; option: Option }) {
    const value = useStore(form).values[command][option.name] ?? "";
    const take = (typed: string): void =>
        form.update((now) => ({
            ...now,
            values: { ...now.values, [command]: { ...now.values[command], [option.name]: typed } },
        }));
    return (
        <label class="field">
            {option.text}
            {option.number ? (
                <input type="number" min={0} step="any" value={value} onInput={(event) => take(event.currentTarget.value)} />
            ) : (
                <input type="text" value={value} onInput={(event) => take(event.currentTarget.value)} />
            )}
        </label>
    );
}

export function Begin({ files }: { files: Jobs }) {
    const now = useStore(form);
    const [trouble, setTrouble] = useState<string | null>(null);
    const { command } = now;
    const busy = files.jobs.some((job) => job.state === "running");
    const ready = isWhole(now);
    const begin = async (): Promise<void> => {
        try {
            const job = await beginJob(requestOf(form.get()));
            setTrouble(null);
            say(`Job ${job.job} began`);
            await look();
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <section class="panel" aria-labelledby="begin-title">
            <h2 id="begin-title">Begin a job</h2>
            <form
                onSubmit={(event) => {
                    event.preventDefault();
                    if (ready && !busy) void begin();
                }}
            >
                <fieldset class="choices">
                    <legend class="hidden">What is to be done</legend>
                    {(Object.keys(COMMANDS) as Command[]).map((each) => (
                        <label key={each} class="choice">
                            <input
                                type="radio"
                                name="command"
                                checked={command === each}
                                onChange={() => form.update((before) => ({ ...before, command: each }))}
                            />
                            {COMMANDS[each]}
                        </label>
                    ))}
                </fieldset>
                <div class="fields pairs-of-fields">
                    <Choice
                        text={command.startsWith("probe") ? "Labelled texts (JSONL with text and label)" : "Corpus"}
                        of="corpus"
                        names={files.corpora}
                        none={command === "eval" ? "what the model writes itself" : "choose one"}
                    />
                    {makes(command) ? (
                        <label class="field">
                            Name of the new {command === "train" ? "dictionary" : "probe"}
                            <input
                                type="text"
                                value={now.output}
                                onInput={(event) => {
                                    const output = event.currentTarget.value;
                                    form.update((before) => ({ ...before, output }));
                                }}
                            />
                        </label>
                    ) : onProbe(command) ? (
                        <Choice text="Probe" of="probe" names={files.probes} none={command === "watch" ? "none" : "choose one"} />
                    ) : (
                        <Choice text="Dictionary" of="dictionary" names={files.dictionaries} none="the served one" />
                    )}
                    {OPTIONS[command].map((option) => (
                        <OptionField key={option.name} command={command} option={option} />
                    ))}
                </div>
                {command === "train" && (
                    <label class="choice">
                        <input
                            type="checkbox"
                            checked={now.repeat}
                            onChange={() => form.update((before) => ({ ...before, repeat: !before.repeat }))}
                        />
                        read the corpus as often as there are tokens asked for
                    </label>
                )}
                {mayHaveLabels(command) && (
                    <label class="choice">
                        <input
                            type="checkbox"
                            checked={now.labelled}
                            onChange={() => form.update((before) => ({ ...before, labelled: !before.labelled }))}
                        />
                        the texts have labels: count right and wrong alerts
                    </label>
                )}
                {files.corpora.length === 0 && (
                    <p class="quiet">There are no corpora in the server’s data folder (corpora/).</p>
                )}
                <p class="actions">
                    <button type="submit" class="main" disabled={!ready || busy}>
                        {busy ? "One job runs at a time" : "Begin"}
                    </button>
                </p>
                <Trouble text={trouble} />
            </form>
        </section>
    );
}
