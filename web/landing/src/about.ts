/** What this node is: its engines and how good they are, where to phone it, its version. */
interface About {
  version: string;
  sip: string;
  engines: { part: string; name: string; quality: string }[];
}

export async function showAbout(into: { engines: HTMLElement; sip: HTMLElement; version: HTMLElement }): Promise<void> {
  try {
    const response = await fetch("/landing/about.json");
    if (!response.ok) return;
    const about = (await response.json()) as About;
    into.sip.textContent = about.sip;
    into.version.textContent = about.version;
    into.engines.replaceChildren(...about.engines.flatMap(engine));
  } catch {
    // The page works without it; a server that is gone shows itself at the first Talk.
  }
}

function engine({ part, name, quality }: About["engines"][number]): HTMLElement[] {
  const term = document.createElement("dt");
  term.textContent = part;
  const detail = document.createElement("dd");
  const strong = document.createElement("strong");
  strong.textContent = name;
  detail.append(strong, quality ? `, ${quality}` : "");
  return [term, detail];
}
