/** The conversation as it is heard. */
import type { AgentUtterance, LedgerEntry, Word } from "./protocol";
import { heardUpTo, readUpTo, settled, tokens } from "./words";

interface Line {
  element: HTMLElement;
  words: Word[];
  spans: HTMLSpanElement[];
  offset: number;
  settled: boolean;
}

export class Transcript {
  private lines = new Map<number, Line>();
  /** Own messages of a chat that the agent has not read yet. */
  private waiting: { element: HTMLElement; text: string }[] = [];
  /** That the agent writes, and what it has written of its reply. */
  private writing: HTMLElement | undefined;

  /** `log` shows; `announcer` is read aloud by screen readers, one whole line at a time. */
  constructor(
    private readonly log: HTMLElement,
    private readonly announcer: HTMLElement,
  ) {
    new ResizeObserver(() => this.scroll()).observe(log);
  }

  /** A new conversation: what was said before stays readable above a rule. */
  begin(): void {
    this.lines.clear();
    this.waiting = [];
    this.typing(false);
    if (this.log.querySelector(".line")) this.log.append(document.createElement("hr"));
    this.log.querySelector(".invitation")?.remove();
  }

  agent({ utterance, text, words }: AgentUtterance): void {
    const line = this.line(utterance);
    if (line.settled) return;
    line.words = words;
    const all = tokens(text);
    line.spans = all.map((token) => wordSpan(token, "coming"));
    line.element.replaceChildren(...spaced(line.spans));
    this.played(utterance, line.offset);
    this.scroll();
  }

  /** Darkens what was heard. */
  played(utterance: number, offset: number): void {
    const line = this.lines.get(utterance);
    if (!line || line.settled) return;
    line.offset = Math.max(line.offset, offset);
    const heard = heardUpTo(line.words, line.offset);
    line.spans.forEach((span, index) => {
      span.className = index < heard ? "heard" : "coming";
    });
  }

  committed(entry: LedgerEntry): void {
    if (entry.speaker === "caller") {
      const rest = this.read(entry.heard);
      if (rest !== "") this.append("line caller", rest);
      this.announce(`You: ${entry.heard}`);
      return;
    }
    const line = this.line(entry.utterance);
    line.settled = true;
    line.element.replaceChildren(...spaced(settled(entry).map(({ token, state }) => wordSpan(token, state))));
    line.element.classList.toggle("interrupted", entry.interrupted);
    this.announce(entry.interrupted ? `Agent, interrupted after: ${entry.heard || "nothing"}` : `Agent: ${entry.heard}`);
    this.scroll();
  }

  /** Chat: an own message, which the agent may let wait for the next. */
  wrote(text: string): void {
    this.waiting.push({ element: this.append("line caller waiting", text), text });
  }

  /** The agent has read own messages, each a line; what of them is not on the page yet. */
  private read(lines: string): string {
    const { count, rest } = readUpTo(this.waiting.map(({ text }) => text), lines);
    for (const own of this.waiting.splice(0, count)) own.element.classList.remove("waiting");
    return rest;
  }

  /** The agent begins to write, or has written all. Whatever it had not finished is void. */
  typing(on: boolean): void {
    this.writing?.remove();
    this.writing = undefined;
    if (!on) return;
    this.writing = this.append("line agent typing", "");
    this.writing.ariaHidden = "true";
  }

  /** More of what the agent is writing. */
  piece(text: string): void {
    if (!this.writing) this.typing(true);
    this.writing?.append(text);
    this.scroll();
  }

  /** Chat: all of it is read at once, so nothing is pale. */
  text(utterance: number, text: string): void {
    const line = this.line(utterance);
    if (line.settled) return;
    if (this.writing) {
      this.writing.textContent = "";
      this.writing.before(line.element);
    }
    line.settled = true;
    line.element.replaceChildren(...spaced(tokens(text).map((token) => wordSpan(token, "heard"))));
    this.announce(`Agent: ${text}`);
    this.scroll();
  }

  note(text: string): void {
    this.append("note", text);
  }

  private line(utterance: number): Line {
    const known = this.lines.get(utterance);
    if (known) return known;
    const element = this.append("line agent", "");
    element.dataset["utterance"] = String(utterance);
    const line = { element, words: [], spans: [], offset: 0, settled: false };
    this.lines.set(utterance, line);
    return line;
  }

  private append(className: string, text: string): HTMLElement {
    this.log.querySelector(".invitation")?.remove();
    const element = document.createElement("p");
    element.className = className;
    element.textContent = text;
    this.log.append(element);
    this.scroll();
    return element;
  }

  private announce(text: string): void {
    const line = document.createElement("p");
    line.textContent = text;
    this.announcer.append(line);
    while (this.announcer.childElementCount > 20) this.announcer.firstElementChild?.remove();
  }

  private scroll(): void {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

function wordSpan(token: string, className: string): HTMLSpanElement {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = token;
  return span;
}

function spaced(spans: HTMLSpanElement[]): (Node | string)[] {
  return spans.flatMap((span, index) => (index === 0 ? [span] : [" ", span]));
}
