/** The top of the command tree. */
import type { Command, Option } from "./tree.ts";

/** Options that every command takes. */
export const globalOptions: readonly Option[] = [
  {
    name: "address",
    short: "s",
    aliases: ["addr"],
    value: "ADDR",
    help: "The daemon: unix:///path, host:port, https://host:port (CAIRN_ADDR)",
  },
  {
    name: "output",
    short: "o",
    value: "FORMAT",
    help: "table, wide, json, yaml or ndjson; json is the RPC's response in proto3 JSON",
    from: ["table", "wide", "json", "yaml", "ndjson"],
  },
  { name: "json", help: "The same as -o json" },
  { name: "color", help: "Colour; default: on a terminal, unless NO_COLOR is set. --no-color turns it off" },
  {
    name: "timeout",
    value: "SPAN",
    help: "Longest wait for an answer, such as 5s; default 30s, none for streams",
  },
  {
    name: "tls-ca",
    value: "FILE",
    help: "CA that signed the daemon's certificate (CAIRN_TLS_CA)",
    from: "file",
  },
  { name: "tls-cert", value: "FILE", help: "Own certificate (CAIRN_TLS_CERT)", from: "file" },
  { name: "tls-key", value: "FILE", help: "Key of the own certificate (CAIRN_TLS_KEY)", from: "file" },
  { name: "token-file", value: "FILE", help: "File with the bearer token (CAIRN_TOKEN_FILE)", from: "file" },
];

export const rootCommand: Command = {
  name: "cairnctl",
  summary: "Shows and changes a running cairnd",
  details:
    "Exit codes: 0 ok, 1 refused or failed, 2 wrong command line, 3 a plan has changes, 4 no daemon at the address, " +
    "5 timeout.",
  options: globalOptions,
  examples: [
    ["cairnctl neighbor", "all sessions at a glance"],
    ["cairnctl neighbor 192.0.2.1", "one of them in full"],
    ["cairnctl rib 198.51.100.7", "which route an address takes"],
    ["cairnctl rib 198.51.100.0/24 --explain", "and why that path was chosen"],
    ["cairnctl events --follow", "what is happening now"],
    ["cairnctl top", "everything on one screen"],
  ],
  commands: [
    {
      name: "neighbor",
      summary: "BGP neighbors: show, add, change, reset",
      load: async () => (await import("./commands/neighbor.ts")).neighborCommand,
    },
    {
      name: "rib",
      summary: "Routes: look up, list, explain, announce",
      load: async () => (await import("./commands/rib.ts")).ribCommand,
    },
    {
      name: "flowspec",
      summary: "FlowSpec rules: list, announce, explain",
      load: async () => (await import("./commands/flowspec.ts")).flowspecCommand,
    },
    {
      name: "policy",
      summary: "Routing policies",
      load: async () => (await import("./commands/policy.ts")).policyCommand,
    },
    {
      name: "set",
      summary: "Prefix, AS path, community and neighbor sets for policies",
      load: async () => (await import("./commands/set.ts")).setCommand,
    },
    {
      name: "group",
      summary: "Peer groups",
      load: async () => (await import("./commands/group.ts")).groupCommand,
    },
    {
      name: "dynamic",
      summary: "Ranges of dynamic neighbors",
      load: async () => (await import("./commands/dynamic.ts")).dynamicCommand,
    },
    {
      name: "bfd",
      summary: "BFD sessions",
      load: async () => (await import("./commands/bfd.ts")).bfdCommand,
    },
    {
      name: "mrt",
      summary: "MRT files: dumps of this router, and anybody's files",
      load: async () => (await import("./commands/mrt.ts")).mrtCommand,
    },
    {
      name: "nexthop",
      summary: "Next hops of accepted routes: reachable or not, and how",
      load: async () => (await import("./commands/kernel.ts")).nextHopCommand,
    },
    {
      name: "fib",
      summary: "BGP routes in the kernel: what it is to hold, whether it does, why not",
      load: async () => (await import("./commands/fib.ts")).fibCommand,
    },
    {
      name: "nat",
      summary: "Address translation: rules and what they counted, flows that are translated",
      load: async () => (await import("./commands/nat.ts")).natCommand,
    },
    {
      name: "firewall",
      summary: "The firewall: zones, what is open for the daemon itself, logging",
      load: async () => (await import("./commands/firewall.ts")).firewallCommand,
    },
    {
      name: "link",
      summary: "Links of the host: state, addresses, MTU",
      load: async () => (await import("./commands/kernel.ts")).linkCommand,
    },
    {
      name: "egress",
      summary: "Uplinks: which one new flows take, why, and pins",
      load: async () => (await import("./commands/egress.ts")).egressCommand,
    },
    {
      name: "rpki",
      summary: "RPKI and ASPA: caches, VRPs, states of routes",
      load: async () => (await import("./commands/rpki.ts")).rpkiCommand,
    },
    {
      name: "bmp",
      summary: "BMP: collectors that are told of sessions and routes",
      load: async () => (await import("./commands/bmp.ts")).bmpCommand,
    },
    {
      name: "keychain",
      summary: "Keys for TCP-AO",
      load: async () => (await import("./commands/keychain.ts")).keychainCommand,
    },
    {
      name: "global",
      summary: "The router's own settings",
      load: async () => (await import("./commands/global.ts")).globalCommand,
    },
    {
      name: "get",
      summary: "Objects of any kind, with how they stand",
      load: async () => (await import("./commands/resource.ts")).getCommand,
    },
    {
      name: "describe",
      summary: "One object in full: spec, status, what it owns in the kernel, events",
      load: async () => (await import("./commands/resource.ts")).describeCommand,
    },
    {
      name: "explain",
      summary: "Why an object is not applied",
      load: async () => (await import("./commands/resource.ts")).explainCommand,
    },
    {
      name: "delete",
      summary: "Deletes an object of any kind",
      load: async () => (await import("./commands/resource.ts")).deleteCommand,
    },
    {
      name: "apply",
      summary: "Applies a configuration file as one transaction",
      load: async () => (await import("./commands/apply.ts")).applyCommand,
    },
    {
      name: "plan",
      summary: "What applying a file would do, without doing it",
      load: async () => (await import("./commands/apply.ts")).planCommand,
    },
    {
      name: "diff",
      summary: "Differences between generations, or to a file",
      load: async () => (await import("./commands/generations.ts")).diffCommand,
    },
    {
      name: "confirm",
      summary: "Keeps the change that waits for confirmation",
      load: async () => (await import("./commands/pending.ts")).confirmCommand,
    },
    {
      name: "abort",
      summary: "Takes back the change that waits for confirmation",
      load: async () => (await import("./commands/pending.ts")).abortCommand,
    },
    {
      name: "pending",
      summary: "The change that waits for confirmation",
      load: async () => (await import("./commands/pending.ts")).pendingCommand,
    },
    {
      name: "rollback",
      summary: "Declares again what an earlier generation declared",
      load: async () => (await import("./commands/generations.ts")).rollbackCommand,
    },
    {
      name: "history",
      summary: "Generations: who changed what, when and why",
      load: async () => (await import("./commands/generations.ts")).historyCommand,
    },
    {
      name: "blame",
      summary: "Who set each field of an object",
      load: async () => (await import("./commands/generations.ts")).blameCommand,
    },
    {
      name: "export",
      summary: "The configuration as TOML or YAML",
      load: async () => (await import("./commands/generations.ts")).exportCommand,
    },
    {
      name: "audit",
      summary: "Every attempt to change something",
      load: async () => (await import("./commands/audit.ts")).auditCommand,
    },
    {
      name: "events",
      summary: "What happened, and what is happening",
      load: async () => (await import("./commands/events.ts")).eventsCommand,
    },
    {
      name: "top",
      summary: "Sessions, rates, routes and events on one screen",
      load: async () => (await import("./commands/top.ts")).topCommand,
    },
    {
      name: "health",
      summary: "Health of the daemon and its parts",
      load: async () => (await import("./commands/control.ts")).healthCommand,
    },
    {
      name: "metrics",
      summary: "Prometheus metrics as text",
      load: async () => (await import("./commands/control.ts")).metricsCommand,
    },
    {
      name: "log-level",
      summary: "Changes the log level of the running daemon",
      load: async () => (await import("./commands/control.ts")).logLevelCommand,
    },
    {
      name: "shutdown",
      summary: "Ends the daemon",
      load: async () => (await import("./commands/control.ts")).shutdownCommand,
    },
    {
      name: "version",
      summary: "Versions of cairnctl and of the daemon",
      load: async () => (await import("./commands/control.ts")).versionCommand,
    },
    {
      name: "completions",
      summary: "Completion script for a shell",
      load: async () => (await import("./commands/completions.ts")).completionsCommand,
    },
    {
      name: "__complete",
      summary: "Values for the completion scripts",
      hidden: true,
      load: async () => (await import("./commands/completions.ts")).completeCommand,
    },
  ],
};
