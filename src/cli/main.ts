#!/usr/bin/env node
/** The command `vrfc`. */
import { main } from "./cli.ts";
import { outliveReaders } from "./io.ts";

outliveReaders();

process.exitCode = await main(process.argv.slice(2));
