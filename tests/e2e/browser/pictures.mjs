// Pictures of the landing page in a conversation with the demo bot, for README and docs.
//
//   node pictures.mjs --url http://127.0.0.1:8080/ --microphone SPEECH.wav --out docs/images
//
// SPEECH.wav interrupts the agent's menu with "opening hours", then says "yes" and "book an appointment", say at 7, 18
// and 24 seconds.
import { join } from "node:path";
import { launch } from "./chromium.mjs";
import { options } from "./options.mjs";

const PATIENCE = 60_000;
const { url, microphone, out } = options({ url: "http://127.0.0.1:8080/", microphone: "", out: "." });
const { browser, close } = await launch({ microphone, viewport: { width: 1280, height: 860 }, colorScheme: "light" });
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.click("#talk");
  await page.waitForFunction(() => document.querySelectorAll(".line.caller").length === 3, null, { timeout: PATIENCE });
  // In the middle of the answer: some of its words are dark, the others still to come.
  await page.waitForFunction(
    () => {
      const last = [...document.querySelectorAll(".line")].at(-1);
      return last?.querySelectorAll(".heard").length >= 2 && last.querySelector(".coming");
    },
    null,
    { timeout: PATIENCE },
  );
  await page.screenshot({ path: join(out, "landing-light.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "dark" });
  await page.screenshot({ path: join(out, "landing-dark.png"), fullPage: true });
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: join(out, "landing-phone.png"), fullPage: true });
} finally {
  await close();
}
