/* Talks with `fathom serve` through OpenAI's own Node client:
 *     cd tests/reference/openai_node && npm ci && node client.mjs FATHOM MODEL.gguf
 *
 * Chats and completions whole and as streams, several answers, log-probabilities, answers in a schema, stop texts, embeddings, models, a
 * stream that its client breaks off, and the client's own errors. Ends with 1 where something is not as the client's types say or a
 * stream is not its whole reply. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import OpenAI from "openai";

const TOKEN = "the-token-of-this-run";
const messages = [
    { role: "system", content: "Answer in one sentence." },
    { role: "user", content: "What is a bridge?" },
];
const exact = { model: "default", temperature: 0, max_tokens: 24 };

let good = 0;
let all = 0;
function check(holds, what) {
    all += 1;
    good += holds ? 1 : 0;
    console.log(`${holds ? "  good " : "  WRONG"} ${what}`);
}

async function chats(client) {
    const whole = await client.chat.completions.create({ ...exact, messages, logprobs: true, top_logprobs: 2 });
    const text = whole.choices[0].message.content;
    check(["stop", "length"].includes(whole.choices[0].finish_reason), `a chat: ${JSON.stringify(text)}`);
    const content = whole.choices[0].logprobs.content;
    const bytes = Buffer.from(content.flatMap((token) => token.bytes));
    check(content.length === whole.usage.completion_tokens && bytes.toString() === text, "the tokens' bytes are the text");
    let streamed = "";
    let usage = null;
    const stream = await client.chat.completions.create({ ...exact, messages, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
        streamed += chunk.choices[0]?.delta.content ?? "";
        usage = chunk.usage ?? usage;
    }
    check(streamed === text, "the stream is the whole reply");
    check(usage?.completion_tokens === whole.usage.completion_tokens, "the stream tells its usage");
    const runner = client.chat.completions.stream({ ...exact, messages });
    check((await runner.finalContent()) === text, "the client's own collector gathers the same");
    const several = await client.chat.completions.create({ ...exact, temperature: 1, seed: 5, max_tokens: 8, n: 3, messages });
    const texts = several.choices.map((choice) => choice.message.content);
    check(new Set(texts).size > 1, `several answers: ${JSON.stringify(texts)}`);
    const stop = text.split(" ")[2];
    const cut = await client.chat.completions.create({ ...exact, messages, stop: [stop] });
    check(cut.choices[0].message.content === text.slice(0, text.indexOf(stop)), `an answer stops before ${JSON.stringify(stop)}`);
    const schema = {
        type: "object",
        properties: { colour: { enum: ["red", "blue"] }, number: { type: "integer" } },
        required: ["colour", "number"],
        additionalProperties: false,
    };
    const held = await client.chat.completions.create({
        ...exact, max_tokens: 60, messages, response_format: { type: "json_schema", json_schema: { name: "paint", schema, strict: true } },
    });
    const value = JSON.parse(held.choices[0].message.content);
    check(["red", "blue"].includes(value.colour) && Number.isInteger(value.number), `an answer in a schema: ${JSON.stringify(value)}`);
}

async function others(client) {
    const prompt = "One, two, three,";
    const whole = await client.completions.create({ ...exact, prompt, logprobs: 1 });
    let streamed = "";
    for await (const chunk of await client.completions.create({ ...exact, prompt, stream: true })) streamed += chunk.choices[0]?.text ?? "";
    check(streamed === whole.choices[0].text, `${JSON.stringify(prompt)} goes on with ${JSON.stringify(streamed)}`);
    const input = ["a bridge", "a long bridge over a river"];
    const coded = await client.embeddings.create({ model: "default", input });
    const plain = await client.embeddings.create({ model: "default", input, encoding_format: "float" });
    const apart = coded.data.flatMap((each, i) => [...each.embedding].map((number, k) => Math.abs(number - plain.data[i].embedding[k])));
    check(apart.length > 0 && Math.max(...apart) < 1e-6, `embeddings of ${plain.data[0].embedding.length} numbers in both encodings`);
    const listed = await client.models.list();
    const model = await client.models.retrieve(listed.data[0].id);
    check(model.owned_by === "fathom", "models are listed");
    const broken = await client.chat.completions.create({ ...exact, max_tokens: 200, messages, stream: true });
    for await (const chunk of broken) if (chunk.choices[0]?.delta.content) break;
    broken.controller.abort();
    const after = await client.chat.completions.create({ ...exact, max_tokens: 4, messages });
    check(after.choices.length === 1, "after a stream that was broken off the next is answered");
}

async function errors(client, baseURL) {
    const cases = [
        [OpenAI.BadRequestError, "tools are refused", () => client.chat.completions.create({ ...exact, messages, tools: [{ type: "function", function: { name: "f" } }] })],
        [OpenAI.NotFoundError, "another model is not found", () => client.chat.completions.create({ ...exact, model: "gpt", messages })],
        [OpenAI.AuthenticationError, "a wrong token is refused", () => new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list()],
    ];
    for (const [kind, what, call] of cases) {
        try {
            await call();
            check(false, what);
        } catch (error) {
            check(error instanceof kind && typeof error.error?.message === "string", `${what}: ${error.message}`);
        }
    }
}

async function main([fathom, model]) {
    if (!model) throw new Error("usage: node client.mjs FATHOM MODEL.gguf");
    const folder = mkdtempSync(path.join(tmpdir(), "fathom-client-"));
    writeFileSync(path.join(folder, "token.txt"), `${TOKEN}\n`);
    const server = spawn(fathom, ["serve", "-m", model, "--no-dict", "--port", "0", "--token-file", path.join(folder, "token.txt"), "--no-access-log"], {
        stdio: ["ignore", "ignore", "pipe"],
    });
    const ended = new Promise((done) => server.on("exit", done));
    try {
        const line = await Promise.race([
            new Promise((done) => server.stderr.once("data", (bytes) => done(String(bytes)))),
            ended.then((status) => { throw new Error(`fathom serve ended with ${status}`); }),
        ]);
        const baseURL = `${/http:\/\/\S+:\d+/.exec(line)[0]}/v1`;
        const client = new OpenAI({ baseURL, apiKey: TOKEN, maxRetries: 0, timeout: 300_000 });
        await chats(client);
        await others(client);
        await errors(client, baseURL);
    } finally {
        server.kill();
        await ended;
        rmSync(folder, { recursive: true });
    }
    console.log(`${good} of ${all} are as the client expects`);
    return good === all ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
