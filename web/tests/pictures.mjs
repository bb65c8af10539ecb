/* The pictures of docs/page.md, from a running server with SmolLM2: `node tests/pictures.mjs URL OUT [NAME...]`. Features and strengths
 * are those of `fathom demo`. */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const [url, out, ...wanted] = process.argv.slice(2);
const here = path.dirname(fileURLToPath(import.meta.url));
const demo = JSON.parse(await readFile(path.join(here, "../../share/smollm2/demo.json"), "utf8"));
const { features, questions } = demo.steer;
const EXPLAINED = { prompt: "The capital of France is", answer: " Paris" };
const MARKED = "river";
const PATIENCE = 300000;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1200, height: 720 }, colorScheme: "light" });
page.setDefaultTimeout(PATIENCE);

const pictures = {
    async talk() {
        await page.goto(url);
        await page.click("summary:has-text('Sampling')");
        await page.fill("label:has-text('Most tokens') input", "40");
        await page.keyboard.press("Tab");
        await page.click("summary:has-text('Sampling')");
        for (const { feature, strength } of features) {
            await page.fill(".finder input", String(feature));
            await page.keyboard.press("Enter");
            await page.selectOption(`select[aria-label^="What is done to feature ${feature},"]`, "clamp");
            await page.fill(`input[aria-label^="Strength of feature ${feature},"][type=number]`, String(strength));
            await page.keyboard.press("Tab");
        }
        await page.click(`input[aria-label^="Colour tokens by feature ${features[0].feature},"]`);
        await page.fill("#message", questions[0]);
        await page.keyboard.press("Enter");
        await page.waitForSelector(".answer");
        await page.waitForSelector('.answer[aria-busy="false"]');
        await page.click("button:has-text('Beside plain')");
        await page.waitForSelector('.lane:nth-child(2) .answer[aria-busy="false"]');
    },
    async feature() {
        await page.goto(`${url}/#/features/${features[0].feature}`);
        await page.waitForSelector(".examples");
        await page.waitForTimeout(PATIENCE / 100);
    },
    async watch() {
        await page.emulateMedia({ colorScheme: "dark" });
        await page.goto(`${url}/#/watch`);
        await page.fill("main textarea", demo.understand.texts.join("\n"));
        await page.click("button:has-text('Read')");
        await page.waitForSelector(".curve");
    },
    async explain() {
        await page.goto(`${url}/#/explain`);
        await page.fill("label:has-text('Prompt') textarea >> nth=0", EXPLAINED.prompt);
        await page.fill("label:has-text('Answer') textarea", EXPLAINED.answer);
        await page.click("button:has-text('Explain')");
        await page.waitForSelector(".causes");
        await page.evaluate(() => document.querySelector(".finding").scrollIntoView());
    },
    async map() {
        await page.goto(`${url}/#/map`);
        await page.waitForSelector(".map canvas");
        await page.fill("input[aria-label='Words of labels']", MARKED);
        await page.keyboard.press("Enter");
        await page.waitForSelector("section[aria-label^='Marked']");
        await page.evaluate(() => scrollTo(0, 0));
        await page.waitForTimeout(PATIENCE / 100);
    },
};

for (const [name, prepare] of Object.entries(pictures).filter(([name]) => wanted.length === 0 || wanted.includes(name))) {
    await prepare();
    await page.screenshot({ path: path.join(out, `page-${name}.png`) });
    await page.emulateMedia({ colorScheme: "light" });
}
await browser.close();
