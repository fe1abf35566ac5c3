import { defineConfig } from "vitest/config";

export default defineConfig({
  // By itself vitest leaves a processor free, which of two is half of them.
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: "threads",
    maxWorkers: "100%",
  },
});
