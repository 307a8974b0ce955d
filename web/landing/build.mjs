// Builds dist/ from src/. What is in dist/ is committed and embedded in the binary, so that `cargo build` needs no Node.
import { copyFile, mkdir } from "node:fs/promises";
import { build } from "esbuild";

const shared = { bundle: true, format: "esm", target: "es2022", legalComments: "none", logLevel: "warning" };

if (process.argv.includes("--tests")) {
  await build({ ...shared, entryPoints: ["test/tests.ts"], platform: "node", outfile: "build/tests.mjs" });
} else {
  await mkdir("dist", { recursive: true });
  await build({
    ...shared,
    entryPoints: {
      app: "src/main.ts",
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
}
