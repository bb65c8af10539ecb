/* A conversation's request as a program or a file that does the same without this page. */
import type { Message } from "../base/types";
import { acts, type Edit, steerOf } from "./lanes";

export interface Exported {
    origin: string;
    /** A chat, or running text where the model has no chat template. */
    messages: Message[] | null;
    prompt: string;
    edits: Edit[];
    /** A plan as text, in the place of the edits. */
    plan: string;
    watch: number[];
    temperature: number;
    maxTokens: number;
    seed: number;
    /** Of the features edited: their largest activations. */
    maxima: ReadonlyMap<number, number>;
}

export const formats = ["curl", "Python", "C", "plan"] as const;
export type Format = (typeof formats)[number];

function requestOf(what: Exported): object {
    const steer = steerOf(what);
    return {
        model: "default",
        ...(what.messages ? { messages: what.messages } : { prompt: what.prompt }),
        max_tokens: what.maxTokens,
        temperature: what.temperature,
        seed: what.seed,
        ...(steer ? { steer } : {}),
        ...(what.watch.length > 0 ? { watch: what.watch } : {}),
    };
}

const routeOf = (what: Exported): string => (what.messages ? "/v1/chat/completions" : "/v1/completions");

function curl(what: Exported): string {
    const body = JSON.stringify(requestOf(what), null, 2).replace(/'/g, `'\\''`);
    return `curl ${what.origin}${routeOf(what)} -H 'Content-Type: application/json' -d '${body}'\n`;
}

/** JSON as Python writes it. */
function literal(value: unknown, indent = 0): string {
    const pad = " ".repeat(indent + 4);
    const end = " ".repeat(indent);
    if (value === true) return "True";
    if (value === false) return "False";
    if (value === null) return "None";
    if (Array.isArray(value)) {
        if (value.length === 0 || typeof value[0] === "number") return `[${value.join(", ")}]`;
        return `[\n${value.map((each) => `${pad}${literal(each, indent + 4)},\n`).join("")}${end}]`;
    }
    if (typeof value === "object") {
        const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}: ${literal(member, indent)}`);
        return `{${members.join(", ")}}`;
    }
    return JSON.stringify(value);
}

function python(what: Exported): string {
    const { steer, watch, ...known } = requestOf(what) as Record<string, unknown>;
    const extra = { ...(steer ? { steer } : {}), ...(watch ? { watch } : {}) };
    const lines = Object.entries(known).map(([key, value]) => `    ${key}=${literal(value, 4)},\n`);
    if (steer || watch) lines.push(`    extra_body=${literal(extra, 4)},\n`);
    const call = what.messages ? "chat.completions" : "completions";
    const text = what.messages ? "message.content" : "text";
    return (
        `from openai import OpenAI\n\nclient = OpenAI(base_url="${what.origin}/v1", api_key="none")\n` +
        `reply = client.${call}.create(\n${lines.join("")})\nprint(reply.choices[0].${text})\n`
    );
}

/** A text as a C string literal. Bytes past ASCII stand as they are: sources are UTF-8. */
export function cString(text: string): string {
    const escapes: Record<string, string> = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };
    // "??" would begin a trigraph; a control character in octal takes all three digits, so that none can follow.
    const written = text
        .replace(/["\\\n\r\t]/g, (sign) => escapes[sign] ?? sign)
        .replace(/\?(?=\?)/g, "?\\")
        .replace(/[\x00-\x1f\x7f]/g, (sign) => `\\${sign.charCodeAt(0).toString(8).padStart(3, "0")}`);
    return `"${written}"`;
}

const MODES = { clamp: "FATHOM_STEER_CLAMP", add: "FATHOM_STEER_ADD", ablate: "FATHOM_STEER_ABLATE" };
const ROWS = { all: "FATHOM_STEER_ALL", prompt: "FATHOM_STEER_PROMPT", answer: "FATHOM_STEER_ANSWER" };

/** A float literal of C. */
function cFloat(value: number): string {
    const text = String(Math.fround(value) === value ? value : Number(value.toPrecision(9)));
    return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

function cEdits(what: Exported): string {
    if (what.plan.trim())
        return (
            `    const char *text_of_plan = ${cString(what.plan.trim())};\n` +
            `    const struct fathom_steer_context context = {.dictionary = dictionary};\n` +
            `    check(fathom_steer_read(plan, text_of_plan, strlen(text_of_plan), "plan", &context));\n`
        );
    const list = what.edits
        .filter(acts)
        .map((edit) => {
            const value = edit.mode === "ablate" ? 0 : edit.strength * (what.maxima.get(edit.feature) ?? 0);
            return (
                `        {.dictionary = dictionary, .feature = ${edit.feature}, .mode = ${MODES[edit.mode]}, ` +
                `.value = ${cFloat(value)}, .rows = ${ROWS[edit.rows]}},\n`
            );
        })
        .join("");
    return (
        `    const struct fathom_steer_feature edits[] = {\n${list}    };\n` +
        `    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++)\n` +
        `        check(fathom_steer_add_feature(plan, &edits[i]));\n`
    );
}

function cPrompt(what: Exported): string {
    if (!what.messages) return `    const char *prompt = ${cString(what.prompt)};\n`;
    const list = what.messages.map(
        (message) => `        {${cString(message.role)}, ${cString(message.content)}},\n`,
    );
    return (
        `    const struct fathom_chat_message messages[] = {\n${list.join("")}    };\n` +
        `    char *prompt = NULL;\n` +
        `    check(fathom_chat_render(&prompt, model, messages, sizeof messages / sizeof messages[0], true, NULL));\n`
    );
}

function c(what: Exported): string {
    const steered = steerOf(what) !== undefined;
    const chat = what.messages !== null;
    return (
        `/* cc talk.c $(pkg-config --cflags --libs fathom) -o talk && ./talk MODEL.gguf */\n` +
        `#include <fathom/fathom.h>\n${what.plan.trim() ? "#include <fathom/plan.h>\n" : ""}#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n` +
        `static void check(int status) {\n    if (status == FATHOM_OK) return;\n` +
        `    fprintf(stderr, "%s\\n", fathom_error_message());\n    exit(1);\n}\n\n` +
        `int main(int argc, char **argv) {\n    fathom_model *model = NULL;\n    fathom_session *session = NULL;\n` +
        `    int32_t *tokens = NULL;\n    size_t n = 0;\n    char *text = NULL;\n    if (argc != 2) return 2;\n` +
        `    check(fathom_model_open(&model, argv[1], NULL));\n    check(fathom_session_open(&session, model, NULL));\n` +
        cPrompt(what) +
        `    check(fathom_tokenize(&tokens, &n, model, prompt, strlen(prompt), ${!chat}, ${chat}));\n` +
        (steered
            ? `    char *path = NULL;\n    fathom_dictionary *dictionary = NULL;\n    fathom_steer *plan = NULL;\n` +
              `    fathom_steering *steering = NULL;\n` +
              `    check(fathom_locate_dictionary(&path, model, NULL));\n` +
              `    check(fathom_dictionary_open(&dictionary, path));\n    check(fathom_steer_open(&plan, model));\n` +
              cEdits(what) +
              `    check(fathom_steer_attach(&steering, session, plan));\n` +
              `    check(fathom_steering_prompt(steering, 0, (int32_t)n));\n`
            : "") +
        `    const struct fathom_sampling sampling = {.seed = ${what.seed}, .temperature = ${cFloat(what.temperature)}};\n` +
        `    check(fathom_generate(&text, session, tokens, n, ${what.maxTokens}, &sampling, NULL, NULL));\n` +
        `    puts(text);\n    fathom_free(text);\n    fathom_free(tokens);\n${chat ? "    fathom_free(prompt);\n" : ""}` +
        (steered
            ? `    fathom_steer_detach(steering);\n    fathom_steer_close(plan);\n` +
              `    fathom_dictionary_close(dictionary);\n    fathom_free(path);\n`
            : "") +
        `    fathom_session_close(session);\n    fathom_model_close(model);\n    return 0;\n}\n`
    );
}

/** A plan as docs/plan.schema.json describes it: numbers are multiples of a feature's maximum. */
function plan(what: Exported): string {
    if (what.plan.trim()) return `${what.plan.trim()}\n`;
    const edits = what.edits.filter(acts).map((edit) => ({
        feature: edit.feature,
        how: edit.mode,
        ...(edit.mode === "ablate" ? {} : { value: edit.strength }),
        ...(edit.rows === "all" ? {} : { part: edit.rows }),
    }));
    return `${JSON.stringify({ fathom_plan: 1, edits }, null, 2)}\n`;
}

export function exportAs(format: Format, what: Exported): string {
    return { curl, Python: python, C: c, plan }[format](what);
}
