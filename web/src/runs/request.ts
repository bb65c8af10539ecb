/* A job's form as the request that it makes. */
import type { JobRequest } from "../base/api";

export type Command = "train" | "index" | "eval";

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
};

export interface Form {
    command: Command;
    corpus: string;
    dictionary: string;
    output: string;
    repeat: boolean;
    /** By the option's name, within its command. */
    values: Record<Command, Record<string, string>>;
}

/** What is asked of the server; empty fields are left to it. */
export function requestOf({ command, corpus, dictionary, output, repeat, values }: Form): JobRequest {
    const options: JobRequest["options"] = {};
    for (const { name, number } of OPTIONS[command]) {
        const value = values[command][name]?.trim();
        if (value) options[name] = number ? Number(value) : value;
    }
    return {
        command,
        ...(corpus ? { corpus: [corpus] } : {}),
        ...(command === "train" ? { output: output.trim() } : dictionary ? { dictionary } : {}),
        ...(repeat && command === "train" ? { repeat } : {}),
        options,
    };
}
