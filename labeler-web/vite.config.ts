import { defineConfig } from "vite";

// The page is served by the labeler under a Content-Security-Policy that allows scripts and styles of its own origin alone:
// nothing is inlined, and no address outside the build is named.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 6000,
  },
  worker: { format: "es" },
});
