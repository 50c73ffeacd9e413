/** Entry point of cairnctl. */
import { runCli } from "./run.ts";

process.exit(
  await runCli(process.argv.slice(2), {
    stdout: process.stdout,
    stderr: process.stderr,
    stdin: process.stdin,
    env: process.env,
    uid: process.getuid?.() ?? 0,
  }),
);
