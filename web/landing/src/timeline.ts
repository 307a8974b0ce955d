/** What happened when: a strip of who spoke, and under it each turn's gap, cut into its stages. */
import type { TimelineEntry, Turn } from "./protocol";

const SVG = "http://www.w3.org/2000/svg";
/** Pixels a second on the strip: a word is some 15 pixels wide. */
const SCALE = 44;
const LANES: Record<Lane, number> = { caller: 18, agent: 50 };
const LANE_HEIGHT = 20;
const HEIGHT = 92;
/** Scrolled further than this from the present, pixels: somebody looks at the past. */
const SCROLL_SLACK = 4;

type Lane = "caller" | "agent";

const STAGES: [string, string][] = [
  ["endpointing_wait", "endpointing wait"],
  ["transcript", "transcript"],
  ["knowledge", "knowledge"],
  ["model_first_token", "model first token"],
  ["first_clause", "first clause"],
  ["voice_first_audio", "voice first audio"],
  ["playout", "playout"],
];

interface Block {
  rect: SVGElement;
  from: number;
}

export class Timeline {
  private svg: SVGElement | undefined;
  private open = new Map<Lane, Block>();
  private pausedAt: number | undefined;
  private turns: Turn[] = [];
  private length = 0;
  private latest = 0;
  /** Where the strip was scrolled to when it was last kept up with. */
  private followed = 0;

  constructor(
    private readonly strip: HTMLElement,
    private readonly table: HTMLTableSectionElement,
    private readonly section: HTMLElement,
  ) {}

  begin(): void {
    this.open.clear();
    this.pausedAt = undefined;
    this.turns = [];
    this.length = 0;
    this.latest = 0;
    this.followed = 0;
    this.svg = make("svg", { height: HEIGHT, role: "img", "aria-label": "Who spoke when, and where the agent paused" });
    this.strip.replaceChildren(this.svg);
    this.table.replaceChildren();
    this.grow(10_000);
  }

  /** Time goes on, milliseconds of the session: what is being said grows. */
  now(clock: number): void {
    const at = (this.latest = Math.max(this.latest, clock));
    this.grow(at + 2_000);
    for (const block of this.open.values()) setWidth(block, at);
    this.follow(at);
  }

  entry(entry: TimelineEntry): void {
    this.section.classList.add("alive");
    this.now(entry.at_ms);
    switch (entry.event) {
      case "caller_started_speaking":
        return this.startBlock("caller", entry.at_ms);
      case "caller_stopped_speaking":
        return this.endBlock("caller", entry.at_ms);
      case "agent_started_speaking":
        return this.startBlock("agent", entry.at_ms);
      case "agent_stopped_speaking":
        return this.endBlock("agent", entry.at_ms);
      case "paused":
        this.pausedAt = entry.at_ms;
        return this.endBlock("agent", entry.at_ms);
      case "resumed":
        this.pause(entry.at_ms, "resumed");
        return this.startBlock("agent", entry.at_ms);
      case "barge_in":
        return this.pause(entry.at_ms, "barge-in");
      default:
        return this.mark(entry);
    }
  }

  turn(turn: Turn): void {
    this.section.classList.add("alive");
    this.turns.push(turn);
    const longest = Math.max(...this.turns.map((one) => one.gap_us), 1);
    this.table.replaceChildren(...this.turns.map((one, index) => turnRow(one, index + 1, longest)));
  }

  private startBlock(lane: Lane, at: number): void {
    this.endBlock(lane, at);
    const rect = make("rect", { class: `block ${lane}`, x: px(at), y: LANES[lane], height: LANE_HEIGHT, width: 2, rx: 5 });
    this.svg?.append(rect);
    this.open.set(lane, { rect, from: at });
  }

  private endBlock(lane: Lane, at: number): void {
    const block = this.open.get(lane);
    if (!block) return;
    setWidth(block, at);
    this.open.delete(lane);
  }

  private pause(at: number, what: "barge-in" | "resumed"): void {
    const from = this.pausedAt ?? at;
    this.pausedAt = undefined;
    const y = LANES.agent;
    const width = Math.max(3, px(at) - px(from));
    const group = make("g", { class: what === "resumed" ? "pause resumed" : "pause barge-in" });
    const title = make("title", {});
    title.textContent = `silent from ${seconds(from)}, ${what} ${at - from} ms later`;
    const band = make("rect", { x: px(from), y, width, height: LANE_HEIGHT, rx: 2 });
    const line = make("line", { x1: px(from), x2: px(from), y1: LANES.caller - 6, y2: y + LANE_HEIGHT + 4 });
    const label = make("text", { x: px(from) + 4, y: LANES.caller - 7 });
    label.textContent = what;
    group.append(title, band, line, label);
    this.svg?.append(group);
  }

  private mark(entry: TimelineEntry): void {
    const text = markText(entry);
    if (!text) return;
    const group = make("g", { class: `mark ${entry.event}` });
    const title = make("title", {});
    title.textContent = `${text} at ${seconds(entry.at_ms)}`;
    const dot = make("circle", { cx: px(entry.at_ms), cy: LANES.agent + LANE_HEIGHT + 11, r: 3 });
    group.append(title, dot);
    this.svg?.append(group);
  }

  /** Makes the strip longer, with a tick every second and a number every five. */
  private grow(to: number): void {
    if (to <= this.length || !this.svg) return;
    const target = Math.ceil(to / 5_000) * 5_000;
    for (let at = this.length; at < target; at += 1_000) this.svg.prepend(...tick(at));
    this.length = target;
    this.svg.setAttribute("width", String(px(target)));
  }

  /** Keeps the present in sight, unless somebody scrolled back to look at the past. */
  private follow(now: number): void {
    if (Math.abs(this.strip.scrollLeft - this.followed) > SCROLL_SLACK) return;
    this.strip.scrollLeft = Math.max(0, px(now) + 3 * SCALE - this.strip.clientWidth);
    this.followed = this.strip.scrollLeft;
  }
}

function markText(entry: TimelineEntry): string | undefined {
  switch (entry.event) {
    case "flow_state":
      return `state ${entry.state ?? ""}`;
    case "dtmf":
      return "key pressed";
    case "no_input":
      return "caller said nothing";
    case "no_match":
      return "not understood";
    case "not_heard":
      return "could not be heard";
    case "limit_reached":
      return "the conversation is as long as it may be";
    case "tool":
      return `tool ${entry.name ?? ""} ${entry.ok ? "done" : "refused"}`;
    case "transfer":
      return "transfer";
    default:
      return undefined;
  }
}

function tick(at: number): SVGElement[] {
  const labelled = at % 5_000 === 0;
  const line = make("line", { class: labelled ? "tick five" : "tick", x1: px(at), x2: px(at), y1: LANES.caller - 4, y2: HEIGHT - 10 });
  if (!labelled) return [line];
  const label = make("text", { class: "second", x: px(at) + 3, y: HEIGHT - 3 });
  label.textContent = `${at / 1_000} s`;
  return [line, label];
}

/** `longest`: the gap that fills the width, microseconds; the same for all turns, so that they compare. */
function turnRow(turn: Turn, number: number, longest: number): HTMLTableRowElement {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = `Turn ${number}`;
  const cell = document.createElement("td");
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.style.width = `${(100 * turn.gap_us) / longest}%`;
  for (const [stage, name] of STAGES) {
    const us = turn.stages.find((span) => span.stage === stage)?.us ?? 0;
    if (us === 0) continue;
    const part = document.createElement("span");
    part.className = `stage ${stage}`;
    part.style.flexGrow = String(us);
    part.title = `${name}: ${milliseconds(us)}`;
    const figure = document.createElement("span");
    figure.textContent = milliseconds(us);
    part.append(figure);
    bar.append(part);
  }
  const spoken = document.createElement("span");
  spoken.className = "visually-hidden";
  spoken.textContent = STAGES.map(([stage, name]) => [name, turn.stages.find((span) => span.stage === stage)?.us ?? 0] as const)
    .filter(([, us]) => us > 0)
    .map(([name, us]) => `${name} ${milliseconds(us)}`)
    .join(", ");
  cell.append(bar, spoken);
  const total = document.createElement("td");
  total.className = "total";
  total.textContent = milliseconds(turn.gap_us);
  row.append(head, cell, total);
  return row;
}

function setWidth(block: Block, to: number): void {
  block.rect.setAttribute("width", String(Math.max(2, px(to) - px(block.from))));
}

function make(name: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}

function px(ms: number): number {
  return Math.round((ms * SCALE) / 100) / 10 + 2;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function milliseconds(us: number): string {
  const ms = us / 1000;
  return ms >= 10 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;
}
