/* Replies of /api/explain, /api/map, /api/runs and /api/jobs in the shapes of the server's, made by rule. */

export const MAPPED = 16384;
const LAYERS = 30;

function json(outgoing, status, value) {
    outgoing.writeHead(status, { "Content-Type": "application/json" });
    outgoing.end(JSON.stringify(value));
    return true;
}

const refuse = (outgoing, status, message) =>
    json(outgoing, status, { error: { message, type: "invalid_request_error", param: null, code: null } });

const measure = (effect, control, deviation) => ({
    effect, probability: 0.41 * Math.exp(effect), control, control_deviation: deviation, controls: 8,
    holds: Math.abs(effect) > Math.abs(control) + 2 * deviation && Math.abs(effect) >= 0.02,
});

function explanation(asked) {
    const tokens = asked.prompt.match(/ ?[\w']+|[^\w]/g) ?? [];
    return {
        model: "Stand-in 135M", model_identity: "0123456789abcdef", prompt: asked.prompt, answer: asked.answer ?? " Paris",
        log_probability: -0.89, probability: 0.41, first_token_probability: 0.41, first_token_rank: 0, seed: 1,
        layers: Array.from({ length: LAYERS }, (_, layer) => ({
            layer, says: ["_a", " the", asked.answer ?? " Paris", " a", "\n"].map((token, at) => ({ token, probability: 0.4 / (at + 1) })),
            answer_probability: 0.41 * (layer / (LAYERS - 1)) ** 4, answer_rank: (LAYERS - 1 - layer) * 40,
            attention: Math.sin(layer), mlp: Math.cos(layer),
        })),
        tokens: tokens.map((token, position) => ({
            token, position,
            erased: token === " France" ? measure(-4.1, -0.2, 0.15) : measure(-0.1, -0.2, 0.15),
            ...(position > 0 && position + 1 < tokens.length ? { hidden: measure(-0.3, -0.25, 0.2) } : {}),
        })),
        features: [
            { feature: 304, position: tokens.indexOf(" France"), token: " France", activation: 6.1, ablated: measure(-1.7, -0.05, 0.06), label: "bridges", label_score: 0.91 },
            { feature: 17, position: 0, token: tokens[0], activation: 1.4, ablated: measure(0.09, 0.03, 0.08) },
        ],
        features_measured: 57, error_term_effect: -0.6, reconstruction_fve: 0.71,
        ...(asked.corrupt
            ? {
                  patching: {
                      clean_log_probability: -0.89, corrupt_log_probability: -6.2,
                      recovered: Array.from({ length: LAYERS }, (_, layer) =>
                          tokens.map((token, at) => (token === " France" ? 1 - layer / LAYERS : at + 1 === tokens.length ? layer / LAYERS : 0))),
                  },
              }
            : {}),
    };
}

/* Numbers that look random and are always the same. */
function* numbers(seed) {
    for (let state = seed; ; ) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        yield state / 2 ** 32;
    }
}

/** Clouds of features around centres. */
export function map(n) {
    const random = numbers(1);
    const next = () => random.next().value;
    const normal = () => next() + next() + next() - 1.5;
    const centres = Array.from({ length: 40 }, () => [normal(), normal(), 0.02 + next() / 8]);
    const x = [], y = [];
    for (let i = 0; i < n; i++) {
        const [left, low, spread] = centres[Math.floor(next() * centres.length)];
        x.push(left + spread * normal());
        y.push(low + spread * normal());
    }
    return { method: "neighbours", features: n, neighbours: 12, kept: 0.41, kept_by_components: 0.012, kept_by_chance: 0.0007, x, y };
}

const dictionary = (features, fve) => ({
    path: "mine.gguf", hook: "resid_post.11", hook_out: null, architecture: "batchtopk", features, k: 32, seed: 1, finished: true,
    fve, l0: 31.8, dead_fraction: 0.0125, threshold: 1.1, steps: 20, tokens: 40960,
});

const run = (number, fve) => ({
    run: number, state: "done", message: "", started: `2026-11-2${number}T08:00:00Z`, command: `fathom train --features ${4096 * number}`,
    model: "Stand-in 135M", model_identity: "0123456789abcdef", corpus_hash: "00", version: "0.1.0", seed: 1, tokens: 40960, steps: 20,
    seconds: 12, dictionaries: [dictionary(4096 * number, fve)], notes: {},
});

const points = (fve) =>
    Array.from({ length: 20 }, (_, step) => ({
        dictionary: 0, step, tokens: 2048 * (step + 1), loss: 1 / (step + 1), fve: fve * (1 - 1 / (step + 2)), l0: 32, dead_fraction: step / 1600, seconds: step,
    }));

const RUNS = [run(2, 0.84), run(1, 0.79)];
const jobs = [];

function begin(asked, outgoing) {
    if (jobs.some((job) => job.state === "running")) return refuse(outgoing, 429, "another job is running; one runs at a time");
    if (asked.command === "train" && asked.output === "taken")
        return refuse(outgoing, 400, 'request: "output": there is a dictionary "taken" already');
    if (asked.command === "doctor") { /* is done at once */
        jobs.unshift({ job: jobs.length + 1, command: "doctor", arguments: ["doctor", "--json"], state: "done", began: 1795400000, ended: 1795400009, exit: 1 });
        return json(outgoing, 201, jobs[0]);
    }
    const job = {
        job: jobs.length + 1, command: asked.command, arguments: [asked.command, "--json"], state: "running", began: 1795400000,
        progress: { line: "train  12.5 %  256,000 tokens  FVE 0.611", share: 0.125 },
    };
    jobs.unshift(job);
    return json(outgoing, 201, job);
}

const PROBE_REPORT = {
    positive: 20, negative: 20, duplicates: 0, auroc: 0.943, auroc_interval: [0.89, 0.98], accuracy: 0.9, balanced_accuracy: 0.9,
    counts: { true_positive: 18, false_positive: 2, true_negative: 18, false_negative: 2 },
    shuffled_labels: { mean: 0.5, highest: 0.64, n: 20 }, random_directions: { mean: 0.6, p95: 0.72, highest: 0.8, reaching: 0, n: 1000 },
    bag_of_words: 0.88, length: 0.55, roc: [[0, 0], [0, 0.7], [0.1, 0.9], [0.4, 1], [1, 1]],
};

const SCAN_REPORT = {
    summary: { texts: 1200, alerts: 3, counts: { true_positive: 2, false_positive: 1, true_negative: 1190, false_negative: 7 } },
    strongest: [
        { number: 17, text: "They crossed the Golden Gate.", alert: true, label: true, watches: [{ name: "feature 304", level: 4.25, above: 2.5, alert: true, levels: [] }], tokens: [] },
        { number: 3, text: "A quiet day.", alert: false, label: false, watches: [{ name: "feature 304", level: 0.5, above: 2.5, alert: false, levels: [] }], tokens: [] },
    ],
};
const DOCTOR_REPORT = {
    passed: false, failed: 1,
    checks: [
        { name: "taps: logits from the last row", passed: true, measured: 1.2e-6, expected: 1e-4, relation: "at most", detail: "" },
        { name: "edits: what follows changes", passed: false, measured: 0, expected: 0.01, relation: "at least", detail: "layer 3 did not move" },
    ],
};
const RESULTS = { "probe eval": PROBE_REPORT, watch: SCAN_REPORT, doctor: DOCTOR_REPORT };

function about(number, method, resume, outgoing) {
    const at = jobs.findIndex((job) => job.job === number);
    const job = jobs[at];
    if (!job) return refuse(outgoing, 404, `there is no job ${number}`);
    if (resume) Object.assign(job, { state: "running", progress: { line: "train  40.0 %", share: 0.4 } });
    else if (method === "DELETE" && job.state === "running") {
        job.state = "stopped";
        delete job.progress;
    } else if (method === "DELETE") jobs.splice(at, 1);
    const result = RESULTS[job.command] ? { result: RESULTS[job.command] } : {};
    return json(outgoing, 200, { ...job, log: "reading corpus\ntrain  12.5 %", ...result });
}

/** Whether it was one of these. */
export function replyToWork(method, url, asked, outgoing) {
    const job = /^\/api\/jobs\/(\d+)(\/resume)?$/.exec(url.pathname);
    if (job) return about(Number(job[1]), method, job[2] !== undefined, outgoing);
    const one = /^\/api\/runs\/(\d+)$/.exec(url.pathname);
    if (one) {
        const found = RUNS.find((each) => each.run === Number(one[1]));
        return found ? json(outgoing, 200, { ...found, points: points(found.dictionaries[0].fve) }) : refuse(outgoing, 404, "there is no such run");
    }
    switch (url.pathname) {
        case "/api/explain":
            return asked.answer === " refused" ? refuse(outgoing, 429, "another explanation is being made; one is made at a time") : json(outgoing, 200, explanation(asked));
        case "/api/probes":
            return json(outgoing, 200, {
                probes: [
                    { probe: "broken", trouble: "probes/broken.gguf is no GGUF file" },
                    { probe: "water", hook: "blocks.11.hook_resid_post", pool: "mean", threshold: 0.5, cross_validated_auroc: 0.97, positive: 40, negative: 40 },
                ],
            });
        case "/api/probes/water/apply":
            return json(outgoing, 200, { probe: "water", hook: "blocks.11.hook_resid_post", threshold: 0.5, alerts: 1, texts: [{ score: 1.2, probability: 0.77, alert: true }] });
        case "/api/map": return json(outgoing, 200, map(MAPPED));
        case "/api/runs": return json(outgoing, 200, { runs: RUNS });
        case "/api/jobs": return method === "POST" ? begin(asked, outgoing) : json(outgoing, 200, { jobs, corpora: ["wiki.jsonl"], dictionaries: ["mine", "taken"], probes: ["water"] });
        default: return false;
    }
}
