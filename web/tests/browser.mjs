/* Each screen's main job in headless Chromium, against the stand-in server: `node tests/browser.mjs [DIST]`. CHROMIUM names the
 * browser; SHOTS a folder for screenshots. Every screen is looked at by axe-core, light and dark, wide and 360 px. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { open } from "./standin.mjs";
import { workTests } from "./work.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const dist = path.resolve(process.argv[2] ?? path.join(here, "../dist"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 800 };
const NARROW = { width: 360, height: 740 };
const GRAVE = ["serious", "critical"];

const server = await open(dist, { server: undefined });
const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox"],
});
const page = await browser.newPage({ viewport: WIDE, colorScheme: "light" });
page.setDefaultTimeout(60000);
const complaints = [];
page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));
page.on("request", (request) => assert.ok(request.url().startsWith(server.origin) || request.url().startsWith("data:")));

const text = (selector) => page.locator(selector).innerText();
const visit = (place) => page.goto(`${server.origin}/#/${place}`);
const lastRequest = (url) => server.requests.filter((request) => request.url === url).at(-1)?.body;

async function inspect(name) {
    for (const [kind, viewport, colorScheme] of [["light", WIDE, "light"], ["dark", WIDE, "dark"], ["narrow", NARROW, "light"]]) {
        await page.setViewportSize(viewport);
        await page.emulateMedia({ colorScheme });
        if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `${name}-${kind}.png`) });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name}, ${kind}: ${overflow} px too wide`);
        /* axe is put in by the debugger, past the page's own policy. */
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => axe.run());
        const grave = violations.filter(({ impact }) => GRAVE.includes(impact));
        assert.deepEqual(grave.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`), [], `${name}, ${kind}`);
    }
    await page.setViewportSize(WIDE);
    await page.emulateMedia({ colorScheme: "light" });
}

const answered = (lane) => page.waitForSelector(`.lane:nth-child(${lane}) .turn:last-child .answer[aria-busy="false"]`);

const tests = {
    async "talk: pinned features are watched, and colour the tokens"() {
        await visit("talk");
        await page.fill(".finder input", "16384");
        await page.keyboard.press("Enter");
        assert.equal(await text(".finder .trouble"), "the dictionary's features are 0 to 16383");
        await page.fill(".finder input", "golden gate");
        await page.keyboard.press("Enter");
        await page.click('button[aria-label^="Pin feature 304"]');
        await page.fill("#message", "A bridge?");
        await page.keyboard.press("Enter");
        await answered(1);
        assert.equal(await text(".token-text >> nth=0"), "You could paint it a calm light grey, which goes with most furniture.");
        const asked = lastRequest("/v1/chat/completions");
        assert.deepEqual(asked.watch, [304]);
        assert.equal(asked.steer, undefined);
        assert.deepEqual(asked.messages, [{ role: "user", content: "A bridge?" }]);
        await page.click("summary:has-text('What the model read')");
        const lit = page.locator("details .token", { hasText: "bridge" });
        assert.equal(await lit.evaluate((token) => token.style.getPropertyValue("--level")), "0.80");
    },
    async "talk: a slider steers, and the plain model answers beside it"() {
        await page.selectOption('select[aria-label^="What is done to feature 304"]', "add");
        await page.fill('input[aria-label^="Strength of feature 304"][type=number]', "1.5");
        await page.keyboard.press("Tab");
        await page.click("button:has-text('Ask again')");
        await page.waitForSelector(".answer-foot:has-text('steered')");
        await answered(1);
        assert.deepEqual(lastRequest("/v1/chat/completions").steer, [{ feature: 304, mode: "add", strength: 1.5, rows: "all" }]);
        assert.match(await text(".lane .token-text >> nth=0"), /Golden Gate Bridge.*“naïve” colours – 🌉 – suit it\.$/);
        assert.equal(await text(".lane-head h2"), "bridges +1.5");
        await page.click("button:has-text('Beside plain')");
        await answered(2);
        assert.equal(lastRequest("/v1/chat/completions").steer, undefined);
        assert.match(await text(".lane:nth-child(2) .token-text >> nth=0"), /calm light grey/);
        assert.match(await text(".lane:nth-child(1) .answer"), /bridges: at most 80\s% of its maximum, active on 2 of 48 tokens/);
    },
    async "talk: a token's card by pointing, by clicking and by keys"() {
        await page.hover(".lane:nth-child(1) .token >> nth=9");
        assert.match(await text(".card"), /Golden[\s\S]*305/);
        await page.click(".lane:nth-child(1) .token >> nth=9");
        await page.click('.card button[aria-label^="Pin feature 305"]');
        assert.equal(await page.locator(".pin").count(), 2);
        await page.keyboard.press("Escape");
        await page.locator(".lane:nth-child(1) .token-text >> nth=0").focus();
        for (const key of ["Home", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
        assert.match(await text(".card"), /␣paint/);
        await page.keyboard.press("Escape");
        assert.equal(await page.locator(".card").count(), 0);
    },
    async "talk: what was pinned since is read with the same tokens"() {
        await page.click(".lane:nth-child(2) button:has-text('Read new pins')");
        await page.waitForSelector(".lane:nth-child(2) button:has-text('Read new pins')", { state: "detached" });
        const asked = lastRequest("/v1/completions");
        assert.deepEqual(asked.watch, [304, 305]);
        assert.ok(asked.prompt.every(Number.isInteger));
    },
    async "talk: a fork shares what was said and goes its own way"() {
        await page.click(".lane:nth-child(1) button:has-text('Fork from here')");
        assert.equal(await page.locator(".lane").count(), 3);
        assert.match(await text(".lane:nth-child(3) .lane-head"), /1 turn shared/);
        await page.fill("#message", "And then?");
        await page.click("button:has-text('Send')");
        for (const lane of [1, 2, 3]) await answered(lane);
        assert.equal(lastRequest("/v1/chat/completions").messages.length, 3);
        await page.click('button[aria-label="Close lane 3"]');
    },
    async "talk: a plan as text takes the place of the sliders"() {
        await page.click("summary:has-text('A plan as text')");
        await page.fill("details.plan textarea", '"sea" ablate');
        await page.keyboard.press("Tab");
        await page.click(".lane:nth-child(1) button:has-text('Ask again')");
        await page.waitForSelector(".lane:nth-child(1) .answer-foot:has-text('\"sea\" ablate')");
        await answered(1);
        assert.equal(lastRequest("/v1/chat/completions").steer, '"sea" ablate');
        await page.fill("details.plan textarea", "");
        await page.keyboard.press("Tab");
        await page.waitForSelector(".lane:nth-child(1) h2:has-text('bridges +1.5')");
    },
    async "talk: what is on the page can be taken along"() {
        await page.click("summary:has-text('Take it along')");
        await page.click("button:has-text('Plan (JSON)')");
        const plan = JSON.parse(await page.locator(".code").textContent());
        assert.deepEqual(plan, { fathom_plan: 1, edits: [{ feature: 304, how: "add", value: 1.5 }] });
        await inspect("talk");
    },
    async "features: by words, and why a token is refused"() {
        await visit("features");
        await page.waitForSelector("caption:has-text('of 16,384')");
        await page.fill("form.search input[type=search]", "sea");
        await page.keyboard.press("Enter");
        await page.waitForSelector("caption:has-text('1 features, best first')");
        assert.match(await text(".list tbody tr"), /17.*‘sea’/s);
        await page.click("label:has-text('Output token')");
        await page.fill("form.search input[type=search]", "two words");
        await page.keyboard.press("Enter");
        assert.match(await text(".trouble"), /is 2 tokens, where one is expected/);
        await page.fill("form.search input[type=search]", " sea");
        await page.click("label:has-text('made less likely')");
        await page.keyboard.press("Enter");
        await page.waitForSelector(".trouble", { state: "detached" });
        assert.deepEqual(lastRequest("/api/search"), { token: " sea", limit: 100, lowered: true });
        complaints.length = 0; /* the browser's own line on the refusal */
        await inspect("features");
    },
    async "feature: its page, a test, a label, and on to a conversation"() {
        await visit("features/304");
        await page.waitForSelector(".examples");
        assert.deepEqual(await page.locator("h3").allInnerTexts(), [
            "Strongest", "Interval 6.00 – 8.00", "Interval 4.00 – 6.00", "Interval 2.00 – 4.00", "Interval 0.00 – 2.00",
        ]);
        await page.fill("textarea[aria-label='Text to test']", "over the gate");
        await page.click("button:has-text('Test')");
        await page.waitForSelector("p:has-text('At most 3.56, ')");
        await page.fill(".own-label input", "crossings");
        await page.click("button:has-text('Save')");
        await page.waitForSelector("h1:has-text('crossings')");
        await inspect("feature");
        await page.click("text=All features");
        await visit("talk");
        await page.waitForSelector(".pin:has-text('crossings')");
        await visit("features/304");
        await page.click("button:has-text('Remove')");
        await page.waitForSelector("h1:has-text('bridges')");
        await page.click("summary:has-text('What it was called')");
        assert.deepEqual(await page.locator(".changes li").allInnerTexts(), ["2026-11-22 19:06 label removed", "2026-11-22 19:06 crossings"]);
        await page.fill("input[aria-label='Strength']", "-2");
        await page.click("button:has-text('Talk with it')");
        await page.waitForSelector(".lane-head h2:has-text('bridges −2')");
    },
    async "watch: levels, thresholds, counts"() {
        await visit("watch");
        await page.fill("main textarea", "They crossed the Golden Gate bridge over the sea.");
        await page.click("button:has-text('Read')");
        await page.waitForSelector(".curve");
        const counts = await text(".monitor:first-child .alert");
        assert.match(counts, /Above on 1 of 10 tokens, 1 time, first at “␣bridge”\. Active on 2, at most 80\s%/);
        await page.fill("input[aria-label^='Threshold of feature 304']", "0.9");
        assert.match(await text(".monitor:first-child"), /Never above on 10 tokens/);
        assert.match(await text(".entries"), /^4\s“␣Golden”: feature 305, [^\n]*$/);
        await inspect("watch");
    },
    async "watch: the text once more, token by token, with its alerts"() {
        await page.fill("input[aria-label^='Threshold of feature 304']", "0.5");
        assert.match(await text(".entries li >> nth=1"), /6\s“␣bridge”: feature 304, .*, 80\s%/);
        await page.fill("input[aria-label='Tokens shown']", "5");
        assert.equal(await page.locator(".entries li").count(), 1);
        assert.match(await text(".monitor:first-child"), /Never above on 5 tokens/);
        await page.selectOption(".replay select", "64");
        await page.click(".replay button");
        await page.waitForSelector(".replay output:has-text('10 of 10')");
        assert.match(await text(".monitor:first-child .alert"), /Above on 1 of 10 tokens/);
        await page.click(".entries li >> nth=1 >> button");
        assert.equal(await text(".replay output"), "6 of 10");
        assert.equal(await page.locator("section[aria-labelledby='levels-title'] .token").count(), 6);
        await inspect("watch with an alert");
    },
    async "watch: an answer of Talk as it is written"() {
        await visit("talk");
        await page.fill("#message", "A bridge?");
        await page.keyboard.press("Enter");
        await visit("watch");
        await page.selectOption("label:has-text('What is watched') select", { index: 1 });
        await page.waitForSelector(".replay"); /* there once the answer is whole */
        const n = await page.locator("section[aria-labelledby='levels-title'] .token").count();
        assert.equal(await text(".replay output"), `${n} of ${n}`);
        assert.equal(await page.locator("main textarea").count(), 0);
        await page.selectOption("label:has-text('What is watched') select", "");
        await page.waitForSelector("main textarea");
    },
    async "model: what is loaded"() {
        await visit("model");
        await page.fill("input[aria-label^='Part of a hook']", "resid_post.29");
        await page.waitForSelector("td:has-text('blocks.29.hook_resid_post')");
        assert.equal(await page.locator(".scroll tbody tr").count(), 1);
        await inspect("model");
    },
    ...workTests({ page, text, visit, lastRequest, inspect, complaints, server }),
    async "the switch of colours holds after a reload"() {
        await page.selectOption(".theme select", "dark");
        await page.reload();
        assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "dark");
        await page.selectOption(".theme select", "auto");
    },
};

let failed = 0;
/* ONLY=map runs those whose names begin so. */
for (const [name, run] of Object.entries(tests).filter(([name]) => name.startsWith(process.env.ONLY ?? ""))) {
    try {
        await run();
        assert.deepEqual(complaints, []);
        console.log(`ok      ${name}`);
    } catch (error) {
        failed++;
        complaints.length = 0;
        console.log(`failed  ${name}\n${error.stack}`);
        if (process.env.SHOTS) await page.screenshot({ path: path.join(process.env.SHOTS, `failed-${failed}.png`) });
    }
}
await browser.close();
server.close();
process.exitCode = failed > 0 ? 1 : 0;
