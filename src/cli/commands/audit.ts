/** audit: every attempt to change something, accepted or refused. */
import { type AuditEntry, ConfigService } from "../../gen/cairn/v1/config_service_pb.ts";
import { exitCode, usageError } from "../exit.ts";
import { humanTime, safeText } from "../human.ts";
import { listAll, writeList } from "../paging.ts";
import { renderTable } from "../table.ts";
import type { Command } from "../tree.ts";

const { method } = ConfigService;

export const auditCommand: Command = {
  name: "audit",
  summary: "Every attempt to change something",
  details: "Newest first. Entries are chained by hash; --verify checks that none was altered or taken out.",
  options: [
    { name: "principal", value: "WHO", help: "Only attempts of this caller" },
    { name: "refused", help: "Only refused ones" },
    { name: "verify", help: "Check the chain of hashes; exit code 1 when it is broken" },
    { name: "lines", short: "n", value: "N", help: "Only the newest N" },
  ],
  examples: [
    ["cairnctl audit -n 20", "the last twenty"],
    ["cairnctl audit --refused", "what was refused, and why"],
    ["cairnctl audit --json > audit.json", "all of it, for the archive"],
  ],
  run: async (context, invocation) => {
    const lines = invocation.option("lines");
    if (lines !== undefined && !/^[1-9]\d{0,3}$/.test(lines))
      throw usageError(`--lines: "${lines}" is not 1 to 9999`);
    const request = {
      principal: invocation.option("principal") ?? "",
      refusedOnly: invocation.flag("refused"),
      verify: invocation.flag("verify"),
    };
    const client = await context.client();
    if (!context.forPeople && lines === undefined) {
      await writeList(context, method.listAudit, request);
      return exitCode.ok;
    }
    const response =
      lines === undefined
        ? await listAll(client, method.listAudit, request)
        : await client.call(method.listAudit, { ...request, pageSize: Number(lines) });
    if (!context.forPeople) {
      await context.message(method.listAudit.output, response);
      return exitCode.ok;
    }
    const { out, style } = context;
    if (response.entries.length === 0) out.line("no attempts on record");
    else {
      const rows = renderTable<AuditEntry>(
        [
          { title: "ID", value: (entry) => String(entry.id), align: "right" },
          { title: "TIME", value: (entry) => humanTime(entry.time) },
          { title: "WHO", value: (entry) => safeText(entry.principal), min: 6 },
          { title: "CALL", value: (entry) => safeText(entry.method) },
          { title: "RESULT", value: (entry) => (entry.accepted ? "accepted" : `refused ${entry.code}`) },
          {
            title: "GEN",
            value: (entry) => (entry.generation > 0n ? String(entry.generation) : "-"),
            align: "right",
          },
          { title: "DETAIL", value: (entry) => safeText(entry.detail || entry.reason), min: 10, drop: 1 },
        ],
        response.entries,
        context.width,
        style,
        context.format === "wide",
      );
      out.line(rows.join("\n"));
    }
    const { chain } = response;
    if (!chain) return exitCode.ok;
    if (chain.intact) out.line(style.good(`the chain of ${chain.checked} entries is intact`));
    else out.line(style.bad(`the chain is broken at entry ${chain.brokenAt}`));
    return chain.intact ? exitCode.ok : exitCode.failed;
  },
};
