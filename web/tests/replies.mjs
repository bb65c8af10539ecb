/* Replies in the shapes of the server's, made by rule: "bridge" lights feature 304 up, "sea" feature 17. */
import { replyToWork } from "./workreplies.mjs";

const FEATURES = 16384;
const LABELS = { 17: "‘sea’, ‘ocean’ and ‘wave’", 304: "bridges", 305: "famous ‘Golden Gate’" };
const WORDS = { 17: ["sea", "ocean"], 304: ["bridge", "gate"], 305: ["golden"] };
const MAXIMUM = 8;
const ANSWER = "You could paint it the warm red of the Golden Gate Bridge. It looks over the sea, and “naïve” colours – 🌉 – suit it.";
const PLAIN = "You could paint it a calm light grey, which goes with most furniture.";

const own = new Map();

const labelOf = (feature) => own.get(feature) ?? LABELS[feature] ?? null;

function short(feature) {
    const label = labelOf(feature);
    return {
        feature,
        label,
        label_origin: label ? "offline" : null,
        label_score: label ? 0.91 : null,
        max_activation: MAXIMUM,
        density: 0.0021,
        count: 1137,
    };
}

/* Words with the space before them; what is not ASCII one byte a token, as byte-level tokens are. */
function tokensOf(text) {
    const tokens = [];
    for (const piece of text.match(/ ?[\w']+|[^\w]/gu) ?? []) {
        const bytes = [...Buffer.from(piece)];
        for (const part of bytes.some((byte) => byte > 127) ? bytes.map((byte) => [byte]) : [bytes])
            tokens.push({ token: Buffer.from(part).toString(), bytes: part, id: tokens.length + 1000 });
    }
    return tokens;
}

function valueOf(token, feature) {
    const words = WORDS[feature] ?? [];
    const at = words.findIndex((word) => token.token.trim().toLowerCase() === word);
    return at < 0 ? 0 : MAXIMUM / (at + 1.25);
}

function read(tokens, asked) {
    return tokens.map((token) => ({
        ...token,
        ...(asked.watch?.length ? { levels: asked.watch.map((feature) => (feature.probe ? probeLevel(token) : valueOf(token, feature.feature ?? feature))) } : {}),
        ...(asked.features
            ? {
                  features: [...Object.keys(WORDS).map(Number), 9]
                      .map((feature) => ({ feature, value: feature === 9 ? 0.7 : valueOf(token, feature) }))
                      .filter(({ value }) => value > 0)
                      .sort((a, b) => b.value - a.value)
                      .slice(0, asked.features),
              }
            : {}),
    }));
}

/** What a probe that looks for water says. */
const PROBE_THRESHOLD = 0.5;
const probeLevel = (token) => (/sea|river|bridge/.test(token.token) ? 3 : -2);

const watched = (asked) =>
    (asked.watch ?? []).map((feature) =>
        feature.probe
            ? { probe: feature.probe, hook: "blocks.11.hook_resid_post", above: PROBE_THRESHOLD }
            : { feature, label: labelOf(feature), max_activation: MAXIMUM },
    );

function json(outgoing, status, value) {
    outgoing.writeHead(status, { "Content-Type": "application/json" });
    outgoing.end(JSON.stringify(value));
}

const refuse = (outgoing, status, message) =>
    json(outgoing, status, { error: { message, type: "invalid_request_error", param: null, code: null } });

/* A character's last byte brings its text, as the server's pieces do. */
function* pieces(tokens) {
    const decoder = new TextDecoder();
    for (const token of tokens) yield [decoder.decode(Uint8Array.from(token.bytes), { stream: true }), token];
}

function stream(outgoing, asked, chat) {
    const prompt = chat ? asked.messages.map(({ role, content }) => `<${role}>${content}`).join("\n") : asked.prompt;
    const tokens = read(tokensOf(asked.steer?.length ? ANSWER : PLAIN).slice(0, asked.max_tokens), asked);
    const head = { seed: asked.seed, watch: watched(asked) };
    const send = (choice) => outgoing.write(`data: ${JSON.stringify({ ...head, choices: [{ index: 0, ...choice }] })}\n\n`);
    outgoing.writeHead(200, { "Content-Type": "text/event-stream" });
    send({ delta: { role: "assistant", content: "" }, text: "", prompt_tokens: read(tokensOf(prompt), asked) });
    for (const [text, token] of pieces(tokens)) send({ ...(chat ? { delta: { content: text } } : { text }), tokens: [token] });
    send({ delta: {}, text: "", finish_reason: "stop" });
    outgoing.end("data: [DONE]\n\n");
}

function readReply(outgoing, asked) {
    const tokens = Array.isArray(asked.prompt)
        ? asked.prompt.map((id) => ({ token: " sea", bytes: [...Buffer.from(" sea")], id }))
        : tokensOf(asked.prompt);
    json(outgoing, 200, {
        watch: watched(asked),
        choices: [{ index: 0, text: "", finish_reason: "length", tokens: [], prompt_tokens: read(tokens, asked) }],
    });
}

function example(index, band) {
    const tokens = tokensOf("The morning was\nclear, and they crossed the bridge to the other side of the bay before the sun was up over the hills.").map(
        ({ token }) => token,
    );
    const peak = tokens.indexOf(" bridge");
    const top = band ? (MAXIMUM / 4) * (band - 0.4) : MAXIMUM - index / 4;
    return {
        tokens,
        values: tokens.map((_, at) => (at === peak ? top : at === peak - 1 ? top / 3 : 0)),
        maxValue: top,
        maxValueTokenIndex: peak,
        document: 100 + index,
        position: 12,
        binMin: band ? (MAXIMUM / 4) * (band - 1) : -1,
        binMax: band ? (MAXIMUM / 4) * band : -1,
    };
}

function explanation(description, typeName) {
    if (typeName === "user") return { description, typeName, score: null, activeTokens: 0, inactiveTokens: 0 };
    return {
        description, typeName, score: 0.91, f1: 0.88, precision: 0.9, recall: 0.86, prevalence: 0.003, singleToken: 0.74,
        shuffled: 0.52, activeTokens: 120, inactiveTokens: 480,
    };
}

const changes = new Map();

function details(feature) {
    const offline = LABELS[feature] ? [explanation(LABELS[feature], "offline")] : [];
    return {
        modelId: "Stand-in 135M", layer: "standin", index: String(feature), hookName: "blocks.11.hook_resid_post",
        maxActApprox: MAXIMUM, meanActive: 2.4, frac_nonzero: 0.0021,
        activations: [0, 1, 2].map((index) => example(index, 0)).concat([4, 3, 2, 1].map((band) => example(band, band))),
        explanations: own.has(feature) ? [explanation(own.get(feature), "user"), ...offline] : offline,
        labelChanges: changes.get(feature) ?? [],
        pos_str: [" Bridge", " bridge", " span", " river"], pos_values: [3.1, 2.9, 1.2, 0.8],
        neg_str: [" cake", "\n", " the"], neg_values: [-1.4, -0.9, -0.2],
        topkCosSimIndices: [305, 17, 9], topkCosSimValues: [0.61, 0.22, 0.11],
        freq_hist_data_bar_heights: Array.from({ length: 50 }, (_, bin) => Math.round(400 / (bin + 1))),
        freq_hist_data_bar_values: Array.from({ length: 50 }, (_, bin) => (MAXIMUM * (bin + 0.5)) / 50),
    };
}

function search(outgoing, asked) {
    const wanted = (asked.words ?? asked.text ?? asked.token).toLowerCase();
    if (asked.token && tokensOf(asked.token).length !== 1)
        return refuse(outgoing, 400, `request: "token": "${asked.token}" is 2 tokens, where one is expected`);
    const found = Object.keys(WORDS).map(Number).filter((feature) => WORDS[feature].some((word) => wanted.includes(word)));
    return json(outgoing, 200, { features: found.map((feature) => ({ ...short(feature), search_score: 9.5 })) });
}

const STATUS = {
    version: "0.1.0", engine: "stand-in",
    model: {
        name: "Stand-in 135M", architecture: "llama", quantisation: "Q4_1", identity: "0123456789abcdef", layers: 30,
        d_model: 576, vocabulary: 49152, parameters: 134515008, chat_template: true,
    },
    dictionary: { name: "standin", architecture: "batchtopk", hook: "blocks.11.hook_resid_post", features: FEATURES, dtype: "q8_0" },
    catalogue: { corpus: "corpus.jsonl", tokens: 541349, alive: 15506, labelled: 3 },
    limits: { at_once: 4, longest: 4096, queue: 64, body_bytes: 4194304, request_seconds: 600 },
    read_only: false, running: 0, waiting: 0,
};

export function reply(method, url, asked, outgoing) {
    if (replyToWork(method, url, asked, outgoing)) return undefined;
    const feature = /^\/api\/features\/(\d+)(\/label)?$/.exec(url.pathname);
    if (feature && Number(feature[1]) >= FEATURES) return refuse(outgoing, 404, `feature ${feature[1]} is not in the dictionary`);
    if (feature && method === "PUT") {
        if (asked.label === null) own.delete(Number(feature[1]));
        else own.set(Number(feature[1]), asked.label);
        const change = { description: asked.label, typeName: "user", at: "2026-11-22T19:06:22Z" };
        changes.set(Number(feature[1]), [change, ...(changes.get(Number(feature[1])) ?? [])]);
        return json(outgoing, 200, { feature: Number(feature[1]), label: asked.label });
    }
    if (feature) return json(outgoing, 200, details(Number(feature[1])));
    switch (url.pathname) {
        case "/api/status": return json(outgoing, 200, STATUS);
        case "/api/hooks":
            return json(outgoing, 200, {
                hooks: Array.from({ length: 30 }, (_, layer) => ({
                    name: `blocks.${layer}.hook_resid_post`, alias: `resid_post.${layer}`, layer, heads: 1, width_per_head: 576,
                })),
            });
        case "/api/features": {
            const offset = Number(url.searchParams.get("offset")), limit = Number(url.searchParams.get("limit"));
            const n = Math.min(limit, FEATURES - offset);
            return json(outgoing, 200, { total: FEATURES, offset, features: Array.from({ length: n }, (_, i) => short(offset + i)) });
        }
        case "/api/search": return search(outgoing, asked);
        case "/v1/chat/completions": return stream(outgoing, asked, true);
        case "/v1/completions": return asked.stream ? stream(outgoing, asked, false) : readReply(outgoing, asked);
        default: return refuse(outgoing, 404, `there is no ${url.pathname} here`);
    }
}
