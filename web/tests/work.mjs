/* Tests of the screens for longer work: Explain, Map and Runs; and two timings, which are printed and never judged. */
import assert from "node:assert/strict";
import { map } from "./workreplies.mjs";

const MANY = 65536;
const FRAMES = 60;

const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];

/** Zooms and moves the map at every frame, and tells the milliseconds from one frame to the next. */
const frameTimes = (page) =>
    page.evaluate(async (frames) => {
        const canvas = document.querySelector(".map canvas");
        const next = () => new Promise((done) => requestAnimationFrame(done));
        const times = [];
        let before = await next();
        for (let frame = 0; frame < frames; frame++) {
            const { width, height } = canvas.getBoundingClientRect();
            const at = { offsetX: width / 2, clientX: width / 2, clientY: height / 2, bubbles: true, cancelable: true };
            if (frame % 2) canvas.dispatchEvent(new KeyboardEvent("keydown", { key: frame % 4 > 1 ? "ArrowLeft" : "ArrowRight", bubbles: true }));
            else canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: frame < frames / 2 ? -60 : 60, ...at }));
            const now = await next();
            times.push(now - before);
            before = now;
        }
        return times;
    }, FRAMES);

export const workTests = ({ page, text, visit, lastRequest, inspect, complaints, server }) => ({
    async "explain: causes beside their controls, and the lens"() {
        await visit("explain");
        await page.fill("label:has-text('Prompt') textarea >> nth=0", "The capital of France is");
        await page.fill("label:has-text('Answer') textarea", " Paris");
        await page.click("button:has-text('Explain')");
        await page.waitForSelector(".causes");
        assert.deepEqual(lastRequest("/api/explain"), { prompt: "The capital of France is", answer: " Paris", top: 12, controls: 8 });
        assert.match(await text(".causes tbody tr >> nth=0"), /304 bridges[\s\S]*−1\.70[\s\S]*−0\.05 ± 0\.06[\s\S]*holds/);
        assert.match(await text(".causes tbody tr >> nth=1"), /17[\s\S]*\+0\.09[\s\S]*–/);
        const france = page.locator(".token", { hasText: "France" });
        assert.equal(await france.evaluate((token) => token.style.getPropertyValue("--level")), "1.00");
        assert.equal(await page.locator(".token >> nth=0").evaluate((token) => token.style.getPropertyValue("--level")), "");
        await page.hover(".causes tbody tr >> nth=0");
        await page.waitForSelector(".token.strong:has-text('France')");
        await page.locator(".token-text").focus();
        for (const key of ["Home", "ArrowRight", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
        await page.waitForSelector(".card:has-text('position 3')");
        assert.match(await text(".card"), /␣France[\s\S]*Replaced: −4\.10; control −0\.20 ± 0\.15 of 8; holds[\s\S]*Hidden from later tokens: −0\.30/);
        await page.keyboard.press("Escape");
        await page.locator(".linechart svg").focus();
        await page.keyboard.press("End");
        await page.waitForSelector(".linechart figcaption:has-text('layer 29: 41')");
        await inspect("explain");
    },
    async "explain: another prompt beside it, and a refusal"() {
        await page.click("summary:has-text('Compare with another prompt')");
        await page.fill("label:has-text('as many tokens') textarea", "The capital of Italy is");
        await page.click("button:has-text('Explain')");
        await page.waitForSelector(".patching");
        assert.match(await text(".patching tbody tr >> nth=0"), /^0\s+0\s%\s+0\s%\s+0\s%\s+100\s%\s+0\s%/);
        await inspect("explain-patching");
        await page.fill("label:has-text('Answer') textarea", " refused");
        await page.click("button:has-text('Explain')");
        await page.waitForSelector(".trouble:has-text('one is made at a time')");
        complaints.length = 0; /* the browser's own line on the refusal */
    },
    async "explain: a feature leads to its page"() {
        await page.click(".causes a >> nth=0");
        await page.waitForSelector("h1:has-text('304')");
    },
    async "map: marks what is searched, tells what is pointed at, moves by keys"() {
        await visit("map");
        await page.waitForSelector(".map canvas");
        assert.match(await text(".screen > .quiet"), /16,384 features.*12 nearest ones 41\s% .*two principal components keeps 1\.20\s%.*without order 0\.070\s%/s);
        await page.fill("input[aria-label='Words of labels']", "bridge");
        await page.keyboard.press("Enter");
        await page.waitForSelector("section[aria-label='Marked: 1'] a:has-text('bridges')");
        const { x, y } = map(16384);
        const before = await page.locator("section[aria-label='In the middle'] li").allInnerTexts();
        assert.equal(before.length, 10);
        await page.locator(".map canvas").focus();
        for (const key of ["+", "+", "ArrowRight"]) await page.keyboard.press(key);
        await page.waitForFunction((old) => document.querySelector("section[aria-label='In the middle'] li")?.innerText !== old, before[0]);
        await page.keyboard.press("0");
        await page.waitForSelector("button:has-text('Show all'):disabled");
        /* Where a feature that stands apart is drawn, by the map's own rule: the whole fills 95 % of the picture. */
        const box = await page.locator(".map canvas").boundingBox();
        const border = 1;
        const [width, height] = [box.width - 2 * border, box.height - 2 * border];
        const [left, right, low, high] = [Math.min(...x), Math.max(...x), Math.min(...y), Math.max(...y)];
        const scale = 0.95 * Math.min(width / (right - left), height / (high - low));
        const apart = x.indexOf(right);
        const at = {
            x: width / 2 + (x[apart] - (left + right) / 2) * scale,
            y: height / 2 - (y[apart] - (low + high) / 2) * scale,
        };
        await page.locator(".map canvas").hover({ position: at });
        await page.waitForSelector(`.map-told .number:has-text("${apart}")`);
        await page.locator(".map canvas").click({ position: at });
        await page.waitForSelector(`h1:has-text("${apart}")`);
        await page.goBack();
        await page.waitForSelector("section[aria-label='Marked: 1']");
        await inspect("map");
    },
    async "map: 65,536 features, timed"() {
        await page.route("**/api/map", (route) => route.fulfill({ json: map(MANY) }));
        await page.goto("about:blank");
        await visit("map");
        await page.waitForSelector("p:has-text('65,536 features')");
        const times = await frameTimes(page);
        await page.unroute("**/api/map");
        assert.equal(times.length, FRAMES);
        console.log(`        frame times with ${MANY} points: median ${quantile(times, 0.5).toFixed(1)} ms, 95 % within ${quantile(times, 0.95).toFixed(1)} ms`);
    },
    async "runs: curves of a run, and of two beside each other"() {
        await page.goto("about:blank");
        await visit("runs");
        await page.click("button:has-text('Run 2')");
        await page.waitForSelector("section[aria-label='Curves']");
        assert.equal(await page.locator(".linechart").count(), 4);
        await page.locator(".linechart svg >> nth=1").focus();
        await page.keyboard.press("End");
        await page.waitForSelector(".linechart figcaption:has-text('run 2, tokens 40,960: 0.800')");
        await page.click("button:has-text('Run 1')");
        await page.waitForSelector("h2:has-text('Run 2 beside Run 1')");
        assert.deepEqual(await page.locator(".linechart >> nth=0 >> .legend li").allInnerTexts(), ["run 2", "run 1"]);
    },
    async "runs: a job is refused, begun, stopped, resumed and forgotten"() {
        await page.selectOption("label:has-text('Corpus') select", "wiki.jsonl");
        await page.fill("label:has-text('new dictionary') input", "taken");
        await page.click("button:has-text('Begin')");
        await page.waitForSelector(".trouble:has-text('there is a dictionary \"taken\" already')");
        complaints.length = 0; /* the browser's own line on the refusal */
        await page.fill("label:has-text('new dictionary') input", "fresh");
        await page.fill("label:has-text('Features') input", "512");
        await page.click("button:has-text('Begin')");
        await page.waitForSelector(".job:has-text('running')");
        assert.deepEqual(server.requests.filter(({ method, url }) => method === "POST" && url === "/api/jobs").at(-1).body, {
            command: "train", corpus: ["wiki.jsonl"], output: "fresh",
            options: { hook: "resid_post.11", arch: "batchtopk", features: 512, k: 32, tokens: 2000000 },
        });
        assert.match(await text(".job"), /12\.50?\s%|13\s%/);
        await inspect("runs");
        await page.click(".job button:has-text('Stop')");
        await page.waitForSelector(".job:has-text('stopped')");
        await page.click(".job button:has-text('Go on')");
        await page.waitForSelector(".job:has-text('40')");
        await page.click(".job button:has-text('Stop')");
        await page.click(".job summary");
        await page.waitForSelector(".job pre:has-text('reading corpus')");
        await page.click(".job button:has-text('Forget')");
        await page.waitForSelector("p:has-text('None was begun.')");
    },
    async "runs: a probe's evaluation shows its ROC curve beside its controls"() {
        await page.click("label:has-text('Evaluate a probe') input");
        await page.selectOption("label:has-text('Labelled texts') select", "wiki.jsonl");
        await page.selectOption("label:has-text('Probe') select", "water");
        await page.click("button:has-text('Begin')");
        await page.waitForSelector(".job:has-text('probe eval')");
        assert.deepEqual(server.requests.filter(({ method, url }) => method === "POST" && url === "/api/jobs").at(-1).body, {
            command: "probe eval", corpus: ["wiki.jsonl"], probe: "water", options: { random: 1000 },
        });
        await page.click(".job button:has-text('Stop')");
        await page.click(".job summary");
        await page.waitForSelector(".roc dd:has-text('0.943 (0.890 to 0.980')");
        assert.match(await page.locator(".roc svg").getAttribute("aria-label"), /recall is 90/);
        assert.equal(await page.locator(".roc polyline").getAttribute("points"), "0.0,240.0 0.0,72.0 24.0,24.0 96.0,0.0 240.0,0.0");
        await inspect("runs with a probe");
        await page.click(".job button:has-text('Forget')");
        await page.waitForSelector("p:has-text('None was begun.')");
    },
    async "runs: a scan tells the strongest texts"() {
        await page.click("label:has-text('Scan a corpus') input");
        await page.selectOption("label:has-text('Corpus') select", "wiki.jsonl");
        await page.selectOption("label:has-text('Probe') select", "");
        assert.ok(await page.locator("button:has-text('Begin')").isDisabled());
        await page.fill("label:has-text('Features, with commas') input", "304");
        await page.fill("label:has-text('Alert from') input", "2.5");
        await page.click("label:has-text('the texts have labels') input");
        await page.click("button:has-text('Begin')");
        await page.waitForSelector(".job:has-text('watch')");
        assert.deepEqual(server.requests.filter(({ method, url }) => method === "POST" && url === "/api/jobs").at(-1).body, {
            command: "watch", corpus: ["wiki.jsonl"], labelled: true, options: { feature: "304", above: 2.5, strongest: 20 },
        });
        await page.click(".job button:has-text('Stop')");
        await page.click(".job summary");
        await page.waitForSelector("p:has-text('3 of 1,200 texts alerted. 2 right and 1 wrong alerts, 1,190 right and 7 wrong silences.')");
        assert.match(await page.locator(".entries li >> nth=0").innerText(), /alert They crossed.*4\.25 of 2\.50/s);
        await inspect("runs with a scan");
        await page.click(".job button:has-text('Forget')");
        await page.waitForSelector("p:has-text('None was begun.')");
    },
    async "model: doctor's checks are run and shown"() {
        await visit("model");
        await page.click("button:has-text('Check this model')");
        await page.waitForSelector("p:has-text('1 of 2 checks passed')");
        assert.match(await page.locator("tr:has-text('what follows changes')").innerText(), /failed.*layer 3 did not move.*at least 0\.01/s);
        await inspect("model with doctor's checks");
    },
    async "watch: a probe colours the text and says whether it alerts"() {
        await visit("watch");
        await page.waitForSelector("section[aria-labelledby='probes-title']");
        assert.ok(await page.locator("label:has-text('broken') input").isDisabled());
        await page.click("label:has-text('water') input");
        await page.fill("label:has-text('Text to read') textarea", "They crossed the bridge over the river");
        await page.click("button:has-text('Read')");
        await page.waitForSelector(".alert:has-text('Alert: the text’s log-odds are 1.20')");
        assert.ok((await page.locator("section[aria-labelledby='probed-title'] .token.strong").count()) > 0);
        assert.deepEqual(server.requests.filter(({ url }) => url === "/v1/completions").at(-1).body.watch.at(-1), { probe: "water" });
        await inspect("watch with a probe");
        await page.click("label:has-text('none: features') input");
    },
    async "first paint, timed"() {
        await page.goto("about:blank");
        await visit("features");
        await page.waitForSelector(".list tbody tr");
        const paint = await page.evaluate(() => {
            const first = performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
            return { first, filled: performance.now() };
        });
        assert.ok(paint.first > 0);
        console.log(`        first contentful paint after ${paint.first.toFixed(0)} ms, the list of features within ${paint.filled.toFixed(0)} ms`);
    },
});
