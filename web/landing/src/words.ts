/** Which words of an utterance were heard, and which messages were read: pure. */
import type { LedgerEntry, Word } from "./protocol";

export type WordState = "coming" | "heard" | "unheard";

export function tokens(text: string): string[] {
  return text.split(/\s+/).filter((token) => token !== "");
}

/** Words whose last sample has been played. The same rule as the ledger's. */
export function heardUpTo(words: readonly Word[], offset: number): number {
  let count = 0;
  while (count < words.length && (words[count]?.end ?? Infinity) <= offset) count++;
  return count;
}

/** The final word: the ledger's. What it does not hold was not heard. */
export function settled(entry: LedgerEntry): { token: string; state: WordState }[] {
  const heard = tokens(entry.heard).length;
  return tokens(entry.text).map((token, index) => ({
    token,
    state: index < heard || !entry.interrupted ? "heard" : "unheard",
  }));
}

/**
 * The agent has read `lines`, which are own messages, each a line: how many of those that wait are read by that, and what of
 * the lines none of them holds. Messages are read in order, so that those before are read as well, though nobody told so: a
 * page that comes back to its chat has missed what was told meanwhile.
 */
export function readUpTo(waiting: readonly string[], lines: string): { count: number; rest: string } {
  let count = 0;
  let rest = lines;
  while (rest !== "") {
    const found = waiting.findIndex((text, at) => at >= count && `${rest}\n`.startsWith(`${text}\n`));
    if (found < 0) break;
    rest = rest.slice((waiting[found] ?? "").length + 1);
    count = found + 1;
  }
  return { count, rest };
}
