/** What is checked of every station that we connect to: its host, and how the connection is protected. */
import { parseIp } from "../../base/ip.ts";
import type { Problem } from "../../base/problem.ts";
import type { StationSpec } from "../client-tls.ts";
import { invalid } from "./rules.ts";

export function stationProblems(spec: StationSpec): Problem[] {
  const problems: Problem[] = [];
  if (spec.host !== "" && !parseIp(spec.host) && !isHostName(spec.host))
    problems.push(invalid("host", `"${spec.host}" is neither an address nor a host name`));
  if (!spec.tls) {
    for (const name of ["ca", "cert", "key", "serverName"] as const) {
      if (spec[name] === "") continue;
      const path = name === "serverName" ? "server_name" : name;
      problems.push(invalid(path, "needs tls", "set tls = true"));
    }
  } else if ((spec.cert === "") !== (spec.key === "")) {
    const [there, missing] = spec.cert === "" ? ["key", "cert"] : ["cert", "key"];
    problems.push(invalid(missing, `${there} is given without ${missing}`));
  }
  return problems;
}

function isHostName(text: string): boolean {
  const label = "[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?";
  // A last label of digits alone is an address that was mistyped.
  return new RegExp(`^${label}(\\.${label})*\\.?$`).test(text) && !/(^|\.)[0-9]+$/.test(text);
}
