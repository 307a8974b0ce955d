// Builds dist/ from src/. What is in dist/ is committed and embedded in the binary, so that `cargo build` needs no Node.
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { build } from "esbuild";
import { marked } from "marked";

const shared = { bundle: true, format: "esm", target: "es2022", legalComments: "none", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  await build({ ...shared, entryPoints: ["test/tests.ts"], platform: "node", outfile: "build/tests.mjs" });
} else {
  await mkdir("dist", { recursive: true });
  await build({
    ...shared,
    entryPoints: {
      app: "src/main.ts",
      document: "src/document.ts",
      capture: "src/audio/capture.worklet.ts",
      player: "src/audio/player.worklet.ts",
      tap: "src/audio/tap.worklet.ts",
      style: "src/style.css",
    },
    outdir: "dist",
    minify: true,
  });
  await copyFile("src/index.html", "dist/index.html");
  await copyFile("src/icon.svg", "dist/icon.svg");
  await document("../../docs/websocket.md", "dist/websocket.html");
}

/** A guide as a page: its first heading is its title. */
async function document(from, to) {
  const [frame, text] = await Promise.all([readFile("src/document.html", "utf8"), readFile(from, "utf8")]);
  const title = text.match(/^# (.+)$/m)?.[1] ?? "Tandem";
  const parts = { title, body: marked.parse(text) };
  await writeFile(to, frame.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]));
}
