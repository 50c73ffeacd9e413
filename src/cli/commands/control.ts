/** health, metrics, version, log-level, shutdown. */
import { readFileSync } from "node:fs";
import {
  ControlService,
  type GetHealthResponse,
  GetHealthResponseSchema,
  SetLogLevelResponseSchema,
  ShutdownResponseSchema,
} from "../../gen/cairn/v1/control_service_pb.ts";
import type { Context } from "../context.ts";
import { CliError, exitCode, usageError } from "../exit.ts";
import { humanDuration, safeText } from "../human.ts";
import { renderTable } from "../table.ts";
import type { Command } from "../tree.ts";

const logLevels = ["trace", "debug", "info", "warn", "error"] as const;

export const healthCommand: Command = {
  name: "health",
  summary: "Health of the daemon and its parts",
  details: "Exits with 1 when a part is not healthy, so that scripts need no parsing.",
  examples: [["cairnctl health", "one line per part"]],
  run: async (context) => {
    const client = await context.client();
    const health = await client.call(ControlService.method.getHealth, {});
    if (context.forPeople) tellHealth(context, health);
    else await context.message(GetHealthResponseSchema, health);
    return health.healthy ? exitCode.ok : exitCode.failed;
  },
};

function tellHealth({ out, style, width }: Context, health: GetHealthResponse): void {
  const word = health.healthy ? style.good("healthy") : style.bad("NOT HEALTHY");
  const name = health.name === "" ? "cairnd" : safeText(health.name);
  out.line(`${style.bold(name)} is ${word}: AS ${health.asn}, router id ${health.routerId || "unset"}`);
  out.line(`version ${health.version}, up ${humanDuration(health.uptime)}, generation ${health.generation}`);
  if (health.subsystems.length === 0) return;
  out.line();
  const lines = renderTable(
    [
      { title: "PART", value: ({ name }) => name },
      {
        title: "STATE",
        value: ({ healthy }) => (healthy ? "ok" : "FAILED"),
        tone: ({ healthy }) => (healthy ? "good" : "bad"),
      },
      { title: "DETAIL", value: ({ detail }) => detail, min: 20 },
    ],
    health.subsystems,
    width,
    style,
  );
  for (const line of lines) out.line(line);
}

export const metricsCommand: Command = {
  name: "metrics",
  summary: "Prometheus metrics as text",
  examples: [["cairnctl metrics | grep cairn_sessions", "sessions by state"]],
  run: async (context) => {
    const client = await context.client();
    const { getMetrics } = ControlService.method;
    const metrics = await client.call(getMetrics, {});
    if (context.forPeople) context.out.write(metrics.text);
    else await context.message(getMetrics.output, metrics);
  },
};

export const versionCommand: Command = {
  name: "version",
  summary: "Versions of cairnctl and of the daemon",
  examples: [["cairnctl version", "both versions; without a daemon only its own"]],
  run: async (context) => {
    const own = ownVersion();
    let daemon = "";
    let why = "";
    try {
      const client = await context.client();
      daemon = (await client.call(ControlService.method.getHealth, {})).version;
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      why = error.message;
    }
    if (!context.forPeople) {
      context.out.line(JSON.stringify({ cairnctl: own, ...(daemon === "" ? {} : { cairnd: daemon }) }));
      return;
    }
    context.out.line(`cairnctl ${own}`);
    context.out.line(daemon === "" ? `cairnd   not known: ${why}` : `cairnd   ${daemon}`);
    if (daemon !== "" && daemon !== own)
      context.note("the two differ: restart the daemon or update cairnctl");
  },
};

/** Version of this checkout. */
export function ownVersion(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

export const logLevelCommand: Command = {
  name: "log-level",
  summary: "Changes the log level of the running daemon",
  details: "Lasts until the daemon restarts.",
  args: [{ name: "LEVEL", help: logLevels.join(", "), from: logLevels }],
  examples: [["cairnctl log-level debug", "say more"]],
  run: async (context, invocation) => {
    const level = invocation.arg("LEVEL");
    if (!logLevels.some((known) => known === level)) {
      throw usageError(`there is no log level "${level}"`, `one of: ${logLevels.join(", ")}`);
    }
    const client = await context.client();
    const response = await client.call(ControlService.method.setLogLevel, { level });
    if (!context.forPeople) return context.message(SetLogLevelResponseSchema, response);
    context.out.line(`log level ${response.previous} -> ${level}`);
  },
};

export const shutdownCommand: Command = {
  name: "shutdown",
  summary: "Ends the daemon",
  details:
    "Sessions are closed with Cease / Administrative Shutdown, unless it is a planned restart. Routes in the kernel stay.",
  options: [
    {
      name: "message",
      short: "m",
      aliases: ["reason"],
      value: "TEXT",
      help: "Text for the neighbors (RFC 9003)",
    },
    {
      name: "graceful",
      help: "A planned restart: neighbors with graceful_restart full keep our routes (RFC 4724)",
    },
    { name: "hard", help: "Do not wait until the NOTIFICATIONs are sent" },
  ],
  examples: [
    ['cairnctl shutdown -m "kernel update, back in 5 min"', "tell the neighbors why"],
    ["cairnctl shutdown --graceful", "before a start of the new version: nobody drops our routes"],
  ],
  run: async (context, invocation) => {
    const client = await context.client();
    const response = await client.call(ControlService.method.shutdown, {
      message: invocation.option("message") ?? "",
      hard: invocation.flag("hard"),
      graceful: invocation.flag("graceful"),
    });
    if (!context.forPeople) return context.message(ShutdownResponseSchema, response);
    context.out.line("cairnd is shutting down");
  },
};
