// Starts Debian's Chromium with a microphone that plays a file, and nothing that wants the open network.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const QUIET = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** `microphone`: a WAV file; its audio is played from the moment the page opens the microphone, and not repeated. */
export async function launch({ microphone, ...context }) {
  const profile = await mkdtemp(join(tmpdir(), "tandem-chromium-"));
  const fake = microphone
    ? ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-audio-capture=${microphone}%noloop`]
    : [];
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [...QUIET, ...fake, "--autoplay-policy=no-user-gesture-required"],
    ...context,
  });
  const close = async () => {
    await browser.close();
    await rm(profile, { recursive: true, force: true });
  };
  return { browser, close };
}
