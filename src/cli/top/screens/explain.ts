/** Why a route is as it is: the choice of the best path, its import, or what a neighbor is told of it. */
import {
  type ExplainAdvertisedRouteResponse,
  type ExplainBestPathResponse,
  type ExplainImportResponse,
  RibService,
} from "../../../gen/cairn/v1/rib_service_pb.ts";
import type { Route } from "../../../gen/cairn/v1/types_pb.ts";
import { explainPage } from "../../commands/explain.ts";
import { advertisedPage, importPage } from "../../commands/explain-routes.ts";
import { addressOf } from "../../commands/neighbor-view.ts";
import { plain, type Style } from "../../style.ts";
import { problemLines } from "../list-screen.ts";
import { nextNeighbor, selectedAddress, shownNeighbors } from "../neighbors.ts";
import { answerOf, type Calls, type Screen, scrollBy } from "../screen.ts";
import { clip, folded, scrolled } from "../text.ts";
import { ask, type ExplainView, open, type RibTable, type TopView } from "../view.ts";

const refreshMs = 5_000;

type Explained =
  | { readonly question: "best"; readonly response: ExplainBestPathResponse }
  | { readonly question: "import"; readonly response: ExplainImportResponse }
  | { readonly question: "advertised"; readonly response: ExplainAdvertisedRouteResponse };

export const explainScreen: Screen = {
  name: "explain",
  about: "why the selected route is as it is",
  keys: [
    ["j/k", "scroll"],
    ["w", "why this path"],
    ["i", "how it came in"],
    ["o", "what a neighbor is told"],
    ["t", "which neighbor"],
    ["n/p", "next, previous neighbor"],
  ],
  want: ({ view: { explain } }) => ({
    screen: "explain",
    key: JSON.stringify(explain),
    everyMs: refreshMs,
    ask: (calls) => explainRoute(calls, explain),
  }),
  lines: (scene) => {
    const { view, size, style } = scene;
    const { explain } = view;
    const answer = answerOf<Explained>(scene, "explain");
    const title = style.accent(clip(titleOf(explain), size.columns));
    // what was said of another route must not stand below this one's name
    const isCurrent = answer?.key === JSON.stringify(explain);
    if (!isCurrent) return [title, "", style.dim("asking ...")];
    const head = [title, ...problemLines(answer.problem, scene)];
    if (!answer.data) return head;
    const page = pageOf(answer.data, style, size.columns);
    return [...head, ...scrolled(page, view.scroll, size.rows - head.length, style)];
  },
  press: (scene, key) => {
    const { model, view, size } = scene;
    const { explain } = view;
    const set = (change: Partial<ExplainView>): TopView => ({
      ...view,
      scroll: 0,
      explain: { ...explain, ...change },
    });
    const isIn = explain.question === "import";
    const neighbor = isIn ? explain.from : explain.to;
    const to = (address: string): Partial<ExplainView> =>
      isIn ? { from: address, pathId: 0 } : { question: "advertised", to: address };
    if (key.text === "w") return set({ question: "best" });
    if (key.text === "i") return set({ question: "import" });
    if (key.text === "o") return set({ question: "advertised" });
    if (key.text === "n" || key.text === "p")
      return set(to(nextNeighbor(model, view, neighbor, key.text === "n" ? 1 : -1)));
    if (key.text === "t")
      return ask(view, {
        label: isIn ? "received from:" : "told to:",
        text: neighbor || selectedAddress(model, view),
        choices: shownNeighbors(model, view).map(addressOf),
        hint: "up and down choose, enter takes it",
        done: (now, text) => ({ ...now, scroll: 0, explain: { ...now.explain, ...to(text.trim()) } }),
      });
    const data = answerOf<Explained>(scene, "explain")?.data;
    const total = data ? pageOf(data, plain, size.columns).length : 0;
    return scrollBy({ view, size: { ...size, rows: size.rows - 1 } }, key, total);
  },
};

/** Opens the explanation that fits the table in which the route stands. */
export function openExplain(view: TopView, route: Route, table: RibTable, neighbor: string): TopView {
  const { prefix, pathId } = route;
  const question =
    table === "best" || table === "lookup" ? "best" : table === "advertised" ? table : "import";
  const from = route.neighbor === "local" ? "" : route.neighbor;
  const explain = { question, prefix, pathId, from: from || neighbor, to: neighbor } as const;
  return open({ ...view, explain }, "explain");
}

/** @throws CliError */
async function explainRoute(calls: Calls, explain: ExplainView): Promise<Explained> {
  const { method } = RibService;
  const { question, prefix, from, to, pathId } = explain;
  switch (question) {
    case "best":
      return { question, response: await calls.call(method.explainBestPath, { prefix }) };
    case "import":
      return {
        question,
        response: await calls.call(method.explainImport, { neighbor: from, prefix, pathId }),
      };
    case "advertised":
      return {
        question,
        response: await calls.call(method.explainAdvertisedRoute, { neighbor: to, prefix }),
      };
  }
}

function titleOf({ question, prefix, from, to }: ExplainView): string {
  if (question === "best") return `why this path to ${prefix}`;
  if (question === "import") return `how ${prefix} came in from ${from || "(no neighbor: t)"}`;
  return `what ${to || "(no neighbor: t)"} is told of ${prefix}`;
}

function pageOf(explained: Explained, style: Style, columns: number): string[] {
  const page = { style, width: columns, allChecks: false };
  const lines =
    explained.question === "best"
      ? explainPage(explained.response, style, columns).slice(1) // the title says the prefix
      : explained.question === "import"
        ? importPage(explained.response, page)
        : advertisedPage(explained.response, page);
  return folded(lines, columns);
}
