/** The page: buttons, theme, and the one conversation that may run at a time. */
import { showAbout } from "./about";
import { Conversation, type Status, type Surroundings } from "./conversation";
import { type Mode, sessionUrl } from "./protocol";
import { Tape } from "./tape";
import { installTheme } from "./theme";
import { Timeline } from "./timeline";
import { Transcript } from "./transcript";

function get<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

const page = new URL(location.href);
const tape = page.searchParams.get("tap") === "1" ? new Tape() : undefined;
const talk = get<HTMLButtonElement>("talk");
const talkLabel = get("talk-label");
const state = get("state");
const problem = get("problem");
const input = get<HTMLInputElement>("message");

let running: Conversation | undefined;

const surroundings: Surroundings = {
  url: sessionUrl(page),
  bot: page.searchParams.get("bot") ?? "demo",
  transcript: new Transcript(get("log"), get("announcer")),
  timeline: new Timeline(get("strip"), get<HTMLTableSectionElement>("turns"), get("timeline")),
  status: showStatus,
  level: (level) => talk.style.setProperty("--level", String(Math.min(1, level * 6))),
  speaking: (who, on) => document.body.classList.toggle(`${who}-speaking`, on),
  problem: showProblem,
  tap: tape ? (samples) => tape.add(samples) : undefined,
};

function showStatus(status: Status, mode: Mode): void {
  const voice = mode === "voice";
  document.body.dataset["status"] = status;
  document.body.dataset["mode"] = status === "idle" ? "" : mode;
  const busy = voice && status !== "idle";
  talk.setAttribute("aria-pressed", String(busy));
  talkLabel.textContent = busy ? (status === "connecting" ? "Calling" : "Hang up") : "Talk";
  state.textContent = stateText(status, voice);
  for (const key of document.querySelectorAll<HTMLButtonElement>("#keypad button")) key.disabled = status !== "live";
  if (status === "idle") running = undefined;
}

function stateText(status: Status, voice: boolean): string {
  switch (status) {
    case "connecting":
      return voice ? "Asking for the microphone and calling." : "Connecting.";
    case "live":
      return voice ? "Speak. Interrupt whenever you like." : "You are chatting. Press Talk to speak instead.";
    case "ending":
      return "Saying goodbye.";
    case "idle":
      return "";
  }
}

function showProblem(text: string): void {
  problem.textContent = text;
  problem.hidden = text === "";
}

function begin(mode: Mode): Conversation {
  showProblem("");
  running?.giveWay();
  running = new Conversation(mode, surroundings);
  void running.start();
  return running;
}

talk.addEventListener("click", () => {
  if (running?.mode === "voice") running.hangUp();
  else begin("voice");
});

get("chat").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (text === "") return;
  (running?.open ? running : begin("text")).say(text);
  input.value = "";
});

get("keypad").addEventListener("click", ({ target }) => {
  const digit = target instanceof HTMLElement ? target.closest("button")?.dataset["digit"] : undefined;
  if (digit) running?.press(digit);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.hangUp();
});

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset["copy"] ?? "");
    await navigator.clipboard?.writeText(source?.textContent ?? "");
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1_500);
  });
}

installTheme(get<HTMLButtonElement>("theme"));
void showAbout({ engines: get("engines"), sip: get("sip"), version: get("version") });
if (tape) Object.assign(window, { tandemTape: tape });
