/** rib PREFIX --explain: the choice of the best path told as a story. */
import type { BestPathCandidate, ExplainBestPathResponse } from "../../gen/cairn/v1/rib_service_pb.ts";
import { humanDuration, safeText } from "../human.ts";
import type { Style } from "../style.ts";
import { renderTable, wrapText } from "../table.ts";
import { validationLines } from "./explain-routes.ts";

export function explainPage(response: ExplainBestPathResponse, style: Style, width: number): string[] {
  const { candidates, ineligible } = response;
  const lines = [style.bold(safeText(response.prefix))];
  if (response.summary !== "") lines.push(...wrapText(safeText(response.summary), Math.min(width, 100)));
  if (candidates.length > 0) lines.push("", ...candidateTable(candidates, style, width));
  for (const { rank, source } of candidates) {
    if (source !== "")
      lines.push("", ...wrapText(`#${rank} is of ${safeText(source)}`, Math.min(width, 100)));
  }
  const winner = candidates[0];
  for (const candidate of candidates.slice(1)) lines.push("", ...loserStory(candidate, winner, style, width));
  for (const { rank, validation } of candidates) {
    if (validation) lines.push("", style.bold(`what RPKI says of #${rank}`), ...validationLines(validation));
  }
  if (ineligible.length > 0) {
    lines.push("", style.bold("not eligible"));
    for (const route of ineligible) {
      lines.push(
        `  from ${safeText(route.neighbor)}, path ${safeText(route.asPathText) || "(empty)"}: ${style.warn(safeText(route.rejectReason))}`,
      );
    }
  }
  if (candidates.length === 0 && ineligible.length === 0) lines.push("no paths at all");
  return lines;
}

function candidateTable(candidates: readonly BestPathCandidate[], style: Style, width: number): string[] {
  return renderTable<BestPathCandidate>(
    [
      { title: "#", value: ({ rank }) => String(rank), align: "right" },
      { title: "FROM", value: ({ route }) => route?.neighbor ?? "" },
      { title: "NEXT HOP", value: ({ route }) => route?.nextHop ?? "", drop: 2 },
      { title: "AS PATH", value: ({ route }) => route?.asPathText ?? "", min: 12 },
      { title: "AGE", value: ({ route }) => humanDuration(route?.age), align: "right", drop: 3 },
      {
        title: "RESULT",
        value: ({ decidedBy, multipath }) =>
          decidedBy === "" ? "best" : multipath ? `beside it (tie: ${decidedBy})` : `lost by ${decidedBy}`,
        tone: ({ decidedBy, multipath }) => (decidedBy === "" || multipath ? "good" : undefined),
      },
    ],
    candidates,
    width,
    style,
  );
}

function loserStory(
  candidate: BestPathCandidate,
  winner: BestPathCandidate,
  style: Style,
  width: number,
): string[] {
  const from = candidate.route?.neighbor ?? "";
  const lines = [
    style.bold(
      `#${candidate.rank} from ${safeText(from)} against the best from ${safeText(winner.route?.neighbor ?? "")}`,
    ),
  ];
  if (candidate.text !== "")
    lines.push(...wrapText(safeText(candidate.text), Math.min(width, 100) - 2).map((line) => `  ${line}`));
  if (candidate.multipathText !== "") {
    const words = wrapText(safeText(candidate.multipathText), Math.min(width, 100) - 2);
    lines.push(...words.map((line) => `  ${line}`));
  }
  const decisive = candidate.steps.findIndex(({ name }) => name === candidate.decidedBy);
  const steps = decisive < 0 ? candidate.steps : candidate.steps.slice(0, decisive + 1);
  const table = renderTable(
    [
      { title: "STEP", value: ({ name }) => name },
      { title: "BEST", value: ({ bestValue }) => bestValue || "-", align: "right", min: 8 },
      { title: "THIS", value: ({ candidateValue }) => candidateValue || "-", align: "right", min: 8 },
      {
        title: "",
        value: ({ name, result }) => (name === candidate.decidedBy ? `${result}: decides` : result),
        tone: ({ name }) => (name === candidate.decidedBy ? "bad" : "dim"),
      },
    ],
    steps,
    width - 2,
    style,
  );
  lines.push(...table.map((line) => `  ${line}`));
  const rest = candidate.steps.length - steps.length;
  if (rest > 0) lines.push(style.dim(`  (${rest} further step${rest === 1 ? "" : "s"} not needed)`));
  return lines;
}
