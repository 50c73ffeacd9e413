/** firewall: zones, what is open without a rule, and how logging fares. */
import {
  type FirewallOpening,
  FirewallService,
  type FirewallZoneState,
  GetFirewallResponseSchema,
} from "../../gen/cairn/v1/firewall_service_pb.ts";
import { humanCount, safeText } from "../human.ts";
import { type Column, renderTable, writeTable } from "../table.ts";
import type { Command } from "../tree.ts";

const zoneColumns: readonly Column<FirewallZoneState>[] = [
  { title: "ZONE", value: ({ name }) => name },
  { title: "ROLE", value: ({ role }) => role },
  { title: "LINKS", value: ({ links }) => links.join(", ") || "-" },
  { title: "MAY REACH", value: ({ reaches }) => reaches.join(", ") || "nothing", min: 12 },
];

const openingColumns: readonly Column<FirewallOpening>[] = [
  { title: "NEED", value: ({ need }) => need },
  { title: "PORTS", value: ({ protocol, ports }) => `${protocol} ${ports}` },
  { title: "FROM", value: ({ from }) => from, min: 12 },
];

export const firewallCommand: Command = {
  name: "firewall",
  summary: "The firewall: zones, what is open for the daemon itself, logging",
  details:
    "What roles say is what happens to flows that no rule and no policy decides: get FirewallRule, get FirewallPolicy.",
  examples: [
    ["cairnctl firewall", "zones and what is open"],
    ["cairnctl events --follow --topic cairn.firewall.*", "packets that rules log, as they come"],
  ],
  run: async (context) => {
    const { out, style, width } = context;
    const client = await context.client();
    const response = await client.call(FirewallService.method.getFirewall, {});
    if (!context.forPeople) return context.message(GetFirewallResponseSchema, response);
    const { zones, openings, log } = response;
    if (zones.length === 0) return out.line("no zones: there is no firewall, and everything passes");
    writeTable(context, zoneColumns, zones);
    out.line(
      ["", style.bold("open without a rule"), ...renderTable(openingColumns, openings, width, style)].join(
        "\n",
      ),
    );
    if (!log?.wanted) return;
    const told = `${humanCount(log.told)} packets told, ${humanCount(log.dropped)} not told`;
    out.line();
    out.line(`logging to NFLOG group ${log.group}: ${told}`);
    if (log.failure !== "") out.line(style.bad(safeText(log.failure)));
  },
};
