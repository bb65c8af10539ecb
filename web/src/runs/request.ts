/* A job's form as the request that it makes. */
import type { JobRequest } from "../base/api";

export type Command = "train" | "index" | "eval" | "watch" | "probe train" | "probe eval";

export interface Option {
    name: string;
    text: string;
    number: boolean;
    value: string;
}
export const OPTIONS: Record<Command, readonly Option[]> = {
    train: [
        { name: "hook", text: "Hook point", number: false, value: "resid_post.11" },
        { name: "arch", text: "Architecture", number: false, value: "batchtopk" },
        { name: "features", text: "Features", number: true, value: "4096" },
        { name: "k", text: "Active at once", number: true, value: "32" },
        { name: "tokens", text: "Tokens", number: true, value: "2000000" },
        { name: "seed", text: "Seed", number: true, value: "" },
    ],
    index: [{ name: "max-tokens", text: "At most so many tokens", number: true, value: "500000" }],
    eval: [{ name: "tokens", text: "Tokens", number: true, value: "" }],
    watch: [
        { name: "feature", text: "Features, with commas between them", number: false, value: "" },
        { name: "above", text: "Alert from this level on", number: true, value: "" },
        { name: "strongest", text: "Texts to tell, the strongest first", number: true, value: "20" },
    ],
    "probe train": [
        { name: "hook", text: "Hook point", number: false, value: "resid_post.11" },
        { name: "pool", text: "Of a text’s tokens: mean or last", number: false, value: "mean" },
        { name: "seed", text: "Seed", number: true, value: "" },
    ],
    "probe eval": [{ name: "random", text: "Random directions beside it", number: true, value: "1000" }],
};

/** Those that make a file, those that work on a probe, and those that may read labels. */
export const makes = (command: Command): boolean => command === "train" || command === "probe train";
export const onProbe = (command: Command): boolean => command === "probe eval" || command === "watch";
export const mayHaveLabels = (command: Command): boolean => command === "watch";

export interface Form {
    command: Command;
    corpus: string;
    dictionary: string;
    probe: string;
    output: string;
    repeat: boolean;
    labelled: boolean;
    /** By the option's name, within its command. */
    values: Record<Command, Record<string, string>>;
}

/** Whether there is all that the command cannot do without. */
export function isWhole({ command, corpus, probe, output, values }: Form): boolean {
    if (makes(command)) return output.trim() !== "" && corpus !== "";
    if (command === "watch") return corpus !== "" && (probe !== "" || !!values.watch.feature?.trim());
    if (command === "probe eval") return corpus !== "" && probe !== "";
    return command === "eval" || corpus !== "";
}

/** What is asked of the server; empty fields are left to it. */
export function requestOf({ command, corpus, dictionary, probe, output, repeat, labelled, values }: Form): JobRequest {
    const options: JobRequest["options"] = {};
    for (const { name, number } of OPTIONS[command]) {
        const value = values[command][name]?.trim();
        if (value) options[name] = number ? Number(value) : value;
    }
    return {
        command,
        ...(corpus ? { corpus: [corpus] } : {}),
        ...(makes(command) ? { output: output.trim() } : onProbe(command) ? (probe ? { probe } : {}) : dictionary ? { dictionary } : {}),
        ...(repeat && command === "train" ? { repeat } : {}),
        ...(labelled && mayHaveLabels(command) ? { labelled } : {}),
        options,
    };
}
