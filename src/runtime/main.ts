/** cairnd: reads the command line and the file, starts the daemon, and hands it the signals. */
import { type LoadedFile, loadFile } from "./config-file.ts";
import { Daemon, StartError } from "./daemon.ts";
import { Log } from "./log.ts";
import { parseOptions } from "./options.ts";
import { version } from "./version.ts";

const options = parseOptions(process.argv.slice(2), version);
const colour = process.stderr.isTTY && !process.env.NO_COLOR;

function fail(message: string): never {
  process.stderr.write(`cairnd: ${message}\n`);
  process.exit(1);
}

let file: LoadedFile | undefined;
if (options.config) {
  try {
    file = loadFile(options.config, colour);
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
  if (file.report !== "") {
    process.stderr.write(file.report.endsWith("\n") ? file.report : `${file.report}\n`);
    process.exit(1);
  }
  if (file.warnings !== "") process.stderr.write(file.warnings);
}
if (options.check) {
  if (!file) fail("--check needs a configuration file");
  const count = file.config.objects.length;
  process.stdout.write(`${file.path}: good, ${count} object${count === 1 ? "" : "s"}\n`);
  process.exit(0);
}

const settings = file?.config.settings.log;
const log = new Log(
  options.logLevel ?? settings?.level ?? "info",
  options.logFormat ?? settings?.format ?? (process.stderr.isTTY ? "pretty" : "json"),
);

try {
  const daemon = await Daemon.start(options, file, log);
  process.on("SIGTERM", () => void daemon.shutdown());
  process.on("SIGINT", () => void daemon.shutdown());
  process.on("SIGHUP", () => void daemon.reload());
  process.exitCode = await daemon.done;
  process.exit();
} catch (error) {
  if (error instanceof StartError) fail(error.message);
  throw error;
}
