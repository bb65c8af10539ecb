/* A server that stands in for `fathom serve`: the page's files with the headers that the real one sends, and replies that
 * tests/replies.mjs makes. With FATHOM_SERVER (such as http://127.0.0.1:8080) everything but the files is asked there. */
import { createServer, request } from "node:http";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { reply } from "./replies.mjs";

/* As src/server/page.c has it. */
export const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" };

async function body(incoming) {
    const parts = [];
    for await (const part of incoming) parts.push(part);
    return Buffer.concat(parts);
}

async function file(folder, name, outgoing) {
    const bytes = await readFile(path.join(folder, path.normalize(name)));
    outgoing.writeHead(200, {
        "Content-Type": TYPES[path.extname(name)],
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
    });
    outgoing.end(bytes);
}

function forward(server, incoming, bytes, outgoing) {
    const target = new URL(incoming.url, server);
    const headers = { ...incoming.headers, host: target.host };
    delete headers.origin;
    const onward = request(target, { method: incoming.method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    onward.end(bytes);
}

/** Listens on a port of its own choice, or on `port`. */
export async function open(folder, { server = process.env.FATHOM_SERVER, port = 0 } = {}) {
    const requests = [];
    const listener = createServer((incoming, outgoing) => {
        void (async () => {
            const at = new URL(incoming.url, "http://here").pathname;
            if (at === "/" || at.startsWith("/assets/")) return file(folder, at === "/" ? "index.html" : at, outgoing);
            const bytes = await body(incoming);
            const asked = bytes.length > 0 ? JSON.parse(bytes.toString()) : null;
            requests.push({ method: incoming.method, url: incoming.url, body: asked });
            if (server) return forward(server, incoming, bytes, outgoing);
            return reply(incoming.method, new URL(incoming.url, "http://here"), asked, outgoing);
        })().catch(() => outgoing.destroy());
    });
    await new Promise((ready) => listener.listen(port, "127.0.0.1", ready));
    return { origin: `http://127.0.0.1:${listener.address().port}`, requests, close: () => listener.close() };
}
