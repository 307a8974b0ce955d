/** Which words of an utterance were heard: pure. */
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
