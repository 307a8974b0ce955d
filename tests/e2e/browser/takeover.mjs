// Talk is pressed in the middle of a chat: the spoken conversation takes its place, keeps it when the chat's connection
// closes, and can be hung up; then the microphone is off. All of it by the keyboard alone.
//
//   node takeover.mjs --url http://127.0.0.1:8080/
//
// Prints one JSON line; exits with 1, and that line on stderr, when something else came of it.
import { launch } from "./chromium.mjs";
import { options } from "./options.mjs";

const PATIENCE = 60_000;
const { url, microphone } = options({ url: "http://127.0.0.1:8080/", microphone: "" });
const { browser, close } = await launch({ microphone });
try {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.addInitScript(() => {
    window.microphones = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
      const stream = await open(wanted);
      window.microphones.push(...stream.getTracks());
      return stream;
    };
  });
  const sockets = [];
  page.on("websocket", (socket) => sockets.push(socket));
  await page.goto(url);
  await tabTo(page, "#message");
  await page.keyboard.type("opening hours");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".line.agent", { timeout: PATIENCE });
  const [chat] = sockets;
  const chatClosed = chat.waitForEvent("close", { timeout: PATIENCE });
  await tabTo(page, "#talk");
  await page.keyboard.press("Space");
  await chatClosed;
  await page.waitForSelector("body[data-status=live][data-mode=voice] .line.agent .heard", { timeout: PATIENCE });
  const pressed = await page.getAttribute("#talk", "aria-pressed");
  await tabTo(page, "#talk");
  await page.keyboard.press("Enter");
  await page.waitForSelector("body[data-status=idle]", { timeout: PATIENCE });
  const off = await page.evaluate(() => window.microphones.map((track) => track.readyState));
  const problem = await page.textContent("#problem");
  const line = JSON.stringify({ pressed, off, sockets: sockets.length, problem, complaints });
  const well = pressed === "true" && off.join() === "ended" && sockets.length === 2 && problem === "" && complaints.length === 0;
  console[well ? "log" : "error"](line);
  process.exitCode = well ? 0 : 1;
} finally {
  await close();
}

/** Goes from one control to the next until this one has the focus; a whole round without it is a failure. */
async function tabTo(page, selector) {
  for (let step = 0; step < 60; step += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${selector} cannot be reached by the keyboard`);
}
