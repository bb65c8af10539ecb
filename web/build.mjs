/* Bundles the page: `node build.mjs OUT [NODE_MODULES]` writes index.html and its two assets, named after what they hold,
 * and page_files.c, which has them as C arrays. NODE_MODULES is where packages lie when it is not beside this file. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const LINE_BYTES = 24;
const HASH_DIGITS = 12;

async function bundle(modules) {
    const { build } = await import(pathToFileURL(path.join(modules, "esbuild/lib/main.js")).href);
    const { outputFiles } = await build({
        entryPoints: [path.join(here, "src/main.tsx")],
        bundle: true,
        minify: true,
        write: false,
        outdir: "out",
        format: "esm",
        target: "es2022",
        jsx: "automatic",
        jsxImportSource: "preact",
        nodePaths: [modules],
        legalComments: "none",
        charset: "utf8",
        logLevel: "warning",
    });
    const contents = (suffix) => outputFiles.find((file) => file.path.endsWith(suffix)).contents;
    return { script: contents(".js"), style: contents(".css") };
}

const hashed = (name, suffix, bytes) =>
    `/assets/${name}-${createHash("sha256").update(bytes).digest("hex").slice(0, HASH_DIGITS)}.${suffix}`;

function cArray(name, bytes) {
    const lines = [];
    for (let at = 0; at < bytes.length; at += LINE_BYTES)
        lines.push(`    ${Array.from(bytes.subarray(at, at + LINE_BYTES), (byte) => `${byte},`).join("")}`);
    return `static const unsigned char ${name}[] = {\n${lines.join("\n")}\n};\n`;
}

function cSource(files) {
    const arrays = files.map((file, index) => cArray(`file_${index}`, file.bytes)).join("\n");
    const table = files
        .map((file, index) => `    {"${file.path}", "${file.type}", file_${index}, sizeof file_${index}},\n`)
        .join("");
    return (
        `/* The page, bundled by web/build.mjs. */\n#include "server/page.h"\n\n${arrays}\n` +
        `const struct fathom__page_file fathom__page_files[] = {\n${table}};\n` +
        `const size_t fathom__n_page_files = sizeof fathom__page_files / sizeof fathom__page_files[0];\n`
    );
}

async function main() {
    const out = path.resolve(process.argv[2] ?? "dist");
    const modules = path.resolve(process.argv[3] ?? path.join(here, "node_modules"));
    const { script, style } = await bundle(modules);
    const names = { script: hashed("page", "js", script), style: hashed("page", "css", style) };
    const template = await readFile(path.join(here, "src/index.html"), "utf8");
    const index = Buffer.from(template.replace(/\{\{(\w+)\}\}/g, (_, key) => names[key]));
    const files = [
        { path: "/", type: "text/html; charset=utf-8", bytes: index },
        { path: names.script, type: "text/javascript; charset=utf-8", bytes: Buffer.from(script) },
        { path: names.style, type: "text/css; charset=utf-8", bytes: Buffer.from(style) },
    ];
    await rm(out, { recursive: true, force: true });
    await mkdir(path.join(out, "assets"), { recursive: true });
    for (const file of files)
        await writeFile(path.join(out, file.path === "/" ? "index.html" : file.path), file.bytes);
    await writeFile(path.join(out, "page_files.c"), cSource(files));
}

await main();
