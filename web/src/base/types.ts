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

export interface Watched {
    feature: number;
    label: string | null;
    max_activation: number | null;
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
        context: number;
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
