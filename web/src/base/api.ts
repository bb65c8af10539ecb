/* Requests to the server that this page came from. */
import { EventReader } from "./sse";
import type {
    Explained,
    FeatureDetails,
    FeatureMap,
    Hook,
    Job,
    Jobs,
    Probe,
    Run,
    Score,
    ShortFeature,
    Status,
    SteerEdit,
    Token,
    Watched,
} from "./types";

const TOKEN_KEY = "fathom-token";
const LOCKED = 401;

export class ApiError extends Error {
    constructor(
        message: string,
        readonly status: number,
    ) {
        super(message);
    }
}

/** The bearer token is kept for this tab alone. */
export function setToken(token: string): void {
    sessionStorage.setItem(TOKEN_KEY, token);
}

function headers(body: boolean): Record<string, string> {
    const token = sessionStorage.getItem(TOKEN_KEY);
    return {
        ...(body ? { "Content-Type": "application/json" } : {}),
        ...(token ? { Authorization: `Bearer ${token}` } : {}),
    };
}

async function failure(response: Response): Promise<ApiError> {
    let message = `the server answered ${response.status}`;
    try {
        const body = (await response.json()) as { error?: { message?: string } };
        if (body.error?.message) message = body.error.message;
    } catch {
        /* The status alone has to do. */
    }
    return new ApiError(message, response.status);
}

async function send(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, {
            method,
            headers: headers(body !== undefined),
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            ...(signal ? { signal } : {}),
        });
    } catch (error) {
        if (signal?.aborted) throw error;
        throw new ApiError("the server does not answer", 0);
    }
    if (!response.ok) throw await failure(response);
    return response;
}

async function get<T>(path: string): Promise<T> {
    return (await send("GET", path)).json() as Promise<T>;
}

async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
    return (await send("POST", path, body, signal)).json() as Promise<T>;
}

export const isLocked = (error: unknown): boolean => error instanceof ApiError && error.status === LOCKED;

export const getStatus = (): Promise<Status> => get("/api/status");
export const getHooks = (): Promise<{ hooks: Hook[] }> => get("/api/hooks");
export const getFeatures = (offset: number, limit: number): Promise<{ total: number; features: ShortFeature[] }> =>
    get(`/api/features?offset=${offset}&limit=${limit}`);
export const getFeature = (feature: number): Promise<FeatureDetails> => get(`/api/features/${feature}?examples=100`);

export interface Question {
    words?: string;
    text?: string;
    token?: string;
    lowered?: boolean;
    limit: number;
}
export const search = (question: Question): Promise<{ features: ShortFeature[] }> => post("/api/search", question);

export async function setLabel(feature: number, label: string | null): Promise<void> {
    await send("PUT", `/api/features/${feature}/label`, { label });
}

export interface ExplainQuestion {
    prompt: string;
    answer?: string;
    answer_tokens?: number;
    corrupt?: string;
    top: number;
    controls: number;
}
export const explain = (question: ExplainQuestion, signal: AbortSignal): Promise<Explained> =>
    post("/api/explain", question, signal);

export const getProbes = (): Promise<{ probes: Probe[] }> => get("/api/probes");
export async function applyProbe(probe: string, text: string): Promise<Score> {
    const reply = await post<{ texts: Score[] }>(`/api/probes/${encodeURIComponent(probe)}/apply`, { texts: [text] });
    return reply.texts[0] ?? { score: null, probability: null, alert: false };
}

export const getMap = (): Promise<FeatureMap> => get("/api/map");

export interface JobRequest {
    command: string;
    corpus?: string[];
    output?: string;
    dictionary?: string;
    probe?: string;
    repeat?: boolean;
    labelled?: boolean;
    options: Record<string, string | number | boolean>;
}
export const getJobs = (): Promise<Jobs> => get("/api/jobs");
export const getJob = (job: number): Promise<Job> => get(`/api/jobs/${job}`);
export const beginJob = (request: JobRequest): Promise<Job> => post("/api/jobs", request);
export const resumeJob = (job: number): Promise<Job> => post(`/api/jobs/${job}/resume`, {});
export async function stopOrForgetJob(job: number): Promise<void> {
    await send("DELETE", `/api/jobs/${job}`);
}
export const getRuns = (): Promise<{ runs: Run[] }> => get("/api/runs");
export const getRun = (run: number): Promise<Run> => get(`/api/runs/${run}`);

interface Choice {
    delta?: { content?: string };
    text?: string;
    finish_reason?: string | null;
    tokens?: Token[];
    prompt_tokens?: Token[];
}
export interface Chunk {
    choices?: Choice[];
    watch?: Watched[];
    seed?: number;
    error?: { message: string };
}

/** Sends a request for text and hands over its events as they come. */
export async function stream(
    path: string,
    body: object,
    signal: AbortSignal,
    take: (chunk: Chunk) => void,
): Promise<void> {
    const response = await send("POST", path, { ...body, stream: true }, signal);
    const reader = response.body?.getReader();
    if (!reader) throw new ApiError("the answer has no body", response.status);
    const events = new EventReader();
    for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new ApiError("the answer broke off", response.status);
        for (const event of events.push(value)) {
            if (event === "[DONE]") return;
            const chunk = JSON.parse(event) as Chunk;
            if (chunk.error) throw new ApiError(chunk.error.message, response.status);
            take(chunk);
        }
    }
}

export interface Inside {
    watch: (number | { probe: string })[];
    /** How many of each token's strongest features are told. */
    features: number;
    steer?: SteerEdit[] | string;
}

/** The tokens of a text with their levels. */
export async function readText(
    text: string | number[],
    inside: Inside,
    signal?: AbortSignal,
): Promise<{ tokens: Token[]; watch: Watched[] }> {
    const reply = await post<Chunk>(
        "/v1/completions",
        { prompt: text, max_tokens: 1, temperature: 0, watch_prompt: true, ...inside },
        signal,
    );
    return { tokens: reply.choices?.[0]?.prompt_tokens ?? [], watch: reply.watch ?? [] };
}
