#!/usr/bin/env node
/** The command `vrfc`. */
import { main } from "./cli.ts";

process.exitCode = await main(process.argv.slice(2));
