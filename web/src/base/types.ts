/* What the server sends; /openapi.json describes it. */

export interface TokenFeature {
    feature: number;
    value: number;
}

export interface Token {
    id: number;
    token: string;
    bytes: number[];
    /** Of each watched feature, in the order of `watch`. */
    levels?: (number | null)[];
    /** The strongest ones. */
    features?: TokenFeature[];
}

/** A feature, or a probe by its name. */
export interface Watched {
    feature?: number;
    label?: string | null;
    max_activation?: number | null;
    probe?: string;
    /** From here on it alerts. */
    above?: number;
}

/** A probe in the server's data folder; one that cannot be used says why. */
export interface Probe {
    probe: string;
    hook?: string;
    pool?: "mean" | "last";
    threshold?: number | null;
    cross_validated_auroc?: number | null;
    positive?: number;
    negative?: number;
    trouble?: string;
}

/** What a probe says of a text: log-odds, and the probability that they stand for. */
export interface Score {
    score: number | null;
    probability: number | null;
    alert: boolean;
}

export interface ShortFeature {
    feature: number;
    label?: string | null;
    label_origin?: string | null;
    label_score?: number | null;
    max_activation?: number | null;
    density?: number | null;
    count?: number;
    search_score?: number;
}

export interface Explanation {
    description: string;
    typeName: string;
    score: number | null;
    f1: number | null;
    precision: number | null;
    recall: number | null;
    prevalence: number | null;
    singleToken: number | null;
    shuffled: number | null;
    activeTokens: number;
    inactiveTokens: number;
}

export interface Example {
    tokens: string[];
    values: number[];
    maxValue: number | null;
    maxValueTokenIndex: number;
    document: number;
    position: number;
    binMin: number;
    binMax: number;
}

/** What a person did to a label; without a text it was removed. */
export interface LabelChange {
    description: string | null;
    at: string;
}

export interface FeatureDetails {
    modelId: string;
    layer: string;
    index: string;
    hookName: string;
    maxActApprox: number | null;
    meanActive: number | null;
    frac_nonzero: number | null;
    activations: Example[];
    explanations: Explanation[];
    /** The latest first. */
    labelChanges?: LabelChange[];
    pos_str: string[];
    pos_values: number[];
    neg_str: string[];
    neg_values: number[];
    topkCosSimIndices: number[];
    topkCosSimValues: number[];
    freq_hist_data_bar_heights: number[];
    freq_hist_data_bar_values: number[];
}

export interface Status {
    version: string;
    engine: string;
    model: {
        name: string;
        architecture: string;
        quantisation: string;
        identity: string;
        layers: number;
        d_model: number;
        vocabulary: number;
        parameters: number;
        chat_template: boolean;
    };
    dictionary: { name: string; architecture: string; hook: string; features: number; dtype: string } | null;
    catalogue: { corpus: string | null; tokens: number; alive: number; labelled: number } | null;
    limits: {
        at_once: number;
        longest: number;
        queue: number;
        body_bytes: number;
        request_seconds: number;
    };
    read_only: boolean;
    running: number;
    waiting: number;
}

export interface Hook {
    name: string;
    alias: string;
    layer: number;
    heads: number;
    width_per_head: number;
}

export type Mode = "clamp" | "add" | "ablate";
export type Rows = "all" | "prompt" | "answer";

/** One member of a request's "steer". */
export interface SteerEdit {
    feature: number;
    mode: Mode;
    strength?: number;
    rows: Rows;
}

export interface Message {
    role: "system" | "user" | "assistant";
    content: string;
}

/** A difference of log p(answer), beside the same of controls. */
export interface Measure {
    effect: number;
    probability: number;
    control: number;
    control_deviation: number;
    controls: number;
    holds: boolean;
}

export interface LensLayer {
    layer: number;
    says: { token: string; probability: number }[];
    answer_probability: number;
    answer_rank: number;
    attention: number;
    mlp: number;
}

export interface ExplainedToken {
    token: string;
    position: number;
    /** Its embedding replaced by those of other tokens. */
    erased: Measure;
    /** No later position may attend to it. */
    hidden?: Measure;
}

export interface ExplainedFeature {
    feature: number;
    position: number;
    token: string;
    activation: number;
    ablated: Measure;
    label?: string | null;
    label_score?: number | null;
}

export interface Explained {
    prompt: string;
    answer: string;
    probability: number;
    log_probability: number;
    first_token_probability: number;
    first_token_rank: number;
    layers: LensLayer[];
    tokens: ExplainedToken[];
    features?: ExplainedFeature[];
    features_measured?: number;
    error_term_effect?: number;
    reconstruction_fve?: number;
    seed: number;
    patching?: { clean_log_probability: number; corrupt_log_probability: number; recovered: number[][] };
}

export interface FeatureMap {
    method: string;
    features: number;
    /** How many nearest features of each the map tries to keep near. */
    neighbours: number;
    /** The share of them that it keeps, beside a map of two principal components and places without order. */
    kept: number;
    kept_by_components: number;
    kept_by_chance: number;
    x: number[];
    y: number[];
}

export type JobState = "running" | "done" | "stopped" | "failed";

/** What `fathom probe eval --json` prints. */
export interface ProbeReport {
    positive: number;
    negative: number;
    auroc: number;
    auroc_interval: [number, number];
    accuracy: number;
    counts: { true_positive: number; false_positive: number; true_negative: number; false_negative: number };
    shuffled_labels: { mean: number; highest: number; n: number };
    random_directions: { mean: number; p95: number; highest: number; n: number };
    bag_of_words: number;
    length: number;
    decoys?: { alerts: number; n: number };
    /** [false-positive rate, recall] from one threshold to the next, the highest first. */
    roc: [number, number][];
}

/** What `fathom watch --strongest N --json` prints. */
export interface ScanReport {
    summary: { texts: number; alerts: number; counts?: ProbeReport["counts"] };
    strongest: {
        number: number;
        text: string;
        alert: boolean;
        label?: boolean;
        watches: { name: string; level: number | null; above: number; alert: boolean }[];
    }[];
}

/** What `fathom doctor --json` prints. */
export interface DoctorReport {
    passed: boolean;
    failed: number;
    checks: {
        name: string;
        passed: boolean;
        measured: number | null;
        expected: number;
        relation: "at least" | "at most";
        detail: string;
    }[];
}

export interface Job {
    job: number;
    command: string;
    arguments: string[];
    state: JobState;
    /** Seconds since 1970. */
    began: number;
    ended?: number;
    exit?: number;
    message?: string;
    progress?: { line: string; share: number | null };
    log?: string;
    result?: unknown;
}

export interface Jobs {
    jobs: Job[];
    corpora: string[];
    dictionaries: string[];
    probes: string[];
}

export interface RunDictionary {
    path: string;
    hook: string;
    hook_out?: string | null;
    architecture: string;
    features: number;
    k: number;
    seed: number;
    finished: boolean;
    fve?: number | null;
    l0?: number | null;
    dead_fraction?: number | null;
}

export interface RunPoint {
    /** Which of the run's dictionaries. */
    dictionary: number;
    step: number;
    tokens: number;
    loss: number | null;
    fve: number | null;
    l0: number | null;
    dead_fraction: number | null;
    seconds: number | null;
}

export interface Run {
    run: number;
    state: string;
    message: string;
    started: string;
    command: string;
    model: string;
    seed: number;
    tokens: number;
    steps: number;
    seconds: number | null;
    dictionaries: RunDictionary[];
    points?: RunPoint[];
}
