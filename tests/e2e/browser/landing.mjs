// Chromium talks to the landing page and interrupts the agent, who speaks with the test voice (docs/test-voice.md). What the
// page handed to its loudspeaker is decoded: the words that the page shows as heard are those, the struck-out ones are not.
//
//   node landing.mjs --url http://127.0.0.1:8080/?bot=NAME#token=KEY --microphone SPEECH.wav --out DIR
//
// SPEECH.wav is what the caller says, silence first; DIR gets output.wav, page.json and screenshots. Prints one JSON line;
// exits with 1, and that line on stderr, when page and loudspeaker differ or the page complains.
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "./chromium.mjs";
import { options } from "./options.mjs";

const DECODER = fileURLToPath(new URL("../../support/tone_decode.py", import.meta.url));
/** Everything here waits for something to happen; this long for each. */
const PATIENCE = 60_000;

const { url, microphone, out } = options({ url: "http://127.0.0.1:8080/", microphone: "", out: "." });
await mkdir(out, { recursive: true });
const address = new URL(url);
address.searchParams.set("tap", "1");
const { browser, close } = await launch({ microphone, viewport: { width: 1280, height: 860 }, colorScheme: "light" });
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
  await page.goto(address.href);
  await page.click("#talk");
  await page.waitForSelector(".line.agent.interrupted", { timeout: PATIENCE });
  await page.waitForFunction(() => document.querySelector(".line.agent:last-of-type .heard"), null, { timeout: PATIENCE });
  await picture(page);
  await page.click("#talk");
  await page.waitForSelector("body[data-status=idle]", { timeout: PATIENCE });
  const lines = await page.$$eval(".line.agent", (all) =>
    all.map((line) => ({
      utterance: Number(line.dataset.utterance),
      interrupted: line.classList.contains("interrupted"),
      words: [...line.querySelectorAll("span")].map((word) => ({ text: word.textContent, state: word.className })),
    })),
  );
  const { pcm, rate } = await page.evaluate(() => ({ pcm: window.tandemTape.base64(), rate: window.tandemTape.rate }));
  await writeFile(join(out, "output.wav"), wav(Buffer.from(pcm, "base64"), rate));
  await writeFile(join(out, "page.json"), JSON.stringify(lines, null, 2));
  const decoded = JSON.parse(python(join(out, "output.wav"))).map(([, symbol]) => symbol);
  const verdict = compare(lines, decoded);
  const line = JSON.stringify({ ...verdict, decoded: decoded.length, complaints });
  const well = !verdict.difference && complaints.length === 0;
  console[well ? "log" : "error"](line);
  process.exitCode = well ? 0 : 1;
} finally {
  await close();
}

/** Walks both lists: each heard word was decoded, in order; after an interruption at most one more, cut short. */
function compare(lines, decoded) {
  let at = 0;
  let [heard, struck, interruptions] = [0, 0, 0];
  for (const { words, interrupted, utterance } of lines) {
    const symbols = words.map(({ text }) => JSON.parse(python("--words", text))[0]);
    for (const [index, { text, state }] of words.entries()) {
      if (symbols[index] === undefined) continue;
      if (state === "heard") {
        if (decoded[at] !== symbols[index]) {
          return { difference: `utterance ${utterance}: "${text}" is shown as heard, symbol ${at} of the loudspeaker is ${decoded[at]}` };
        }
        at++;
        heard++;
      } else {
        struck++;
      }
    }
    if (interrupted) {
      interruptions++;
      const next = symbols.find((symbol, index) => symbol !== undefined && words[index].state !== "heard");
      if (next !== undefined && decoded[at] === next) at++;
    }
  }
  const difference = at < decoded.length ? `the loudspeaker had ${decoded.length - at} words that the page does not show as heard` : null;
  return { difference, heard, struck, interruptions };
}

function python(...parameters) {
  return execFileSync("python3", [DECODER, ...parameters], { encoding: "utf8" });
}

/** PCM16 mono in a RIFF file. */
function wav(pcm, rate) {
  const head = Buffer.alloc(44);
  head.write("RIFF", 0);
  head.writeUInt32LE(36 + pcm.length, 4);
  head.write("WAVEfmt ", 8);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(rate, 24);
  head.writeUInt32LE(2 * rate, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36);
  head.writeUInt32LE(pcm.length, 40);
  return Buffer.concat([head, pcm]);
}

async function picture(page) {
  await page.screenshot({ path: join(out, "landing-light.png") });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(out, "landing-dark.png") });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: join(out, "landing-phone.png"), fullPage: true });
  await page.setViewportSize({ width: 1280, height: 860 });
}
