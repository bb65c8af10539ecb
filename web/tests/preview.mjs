/* Serves dist/ for a look: before the stand-in's replies, or before a server that FATHOM_SERVER names. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import { open } from "./standin.mjs";

const PORT = 8090;
const dist = path.join(path.dirname(fileURLToPath(import.meta.url)), "../dist");
const { origin } = await open(dist, { port: PORT });
console.log(origin);
