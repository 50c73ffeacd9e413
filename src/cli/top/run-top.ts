/** Starts top on the terminal, or prints one frame. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Context } from "../context.ts";
import { safeText } from "../human.ts";
import { plain } from "../style.ts";
import { Feed } from "./feed.ts";
import { frameLines } from "./frame.ts";
import { screenOf } from "./screens.ts";
import { firstView, type ScreenName } from "./view.ts";

const columnsWithoutTerminal = 120;

/** What a program that starts top wants shown, such as the demo: lines in CAIRN_TOP_HINTS. */
function hintsOf({ env }: Context): string[] {
  return env.CAIRN_TOP_HINTS ? env.CAIRN_TOP_HINTS.split("\n").map(safeText) : [];
}

export async function runTop(
  context: Context,
  options: { once: boolean; intervalMs: number; screen: ScreenName },
): Promise<void> {
  const view = { ...firstView, screen: options.screen };
  const feed = new Feed(await context.client(), options.intervalMs, hintsOf(context));
  if (options.once) {
    const columns = Number.isFinite(context.width) ? context.width : columnsWithoutTerminal;
    const size = { columns, rows: Number.POSITIVE_INFINITY };
    const want = () => screenOf(options.screen).want?.({ model: feed.model(), view, size });
    await feed.fill(want());
    // rates need two samples
    await sleep(options.intervalMs);
    await feed.fill(want());
    const style = context.isTerminal ? context.style : plain;
    for (const line of frameLines(feed.model(), view, size, style, context.address)) context.out.line(line);
    return;
  }
  process.env.NODE_ENV = "production"; // React's checks would take half of the time
  // Ink draws nothing before the end where these are set; whether there is a terminal was asked already.
  process.env.CI = "false";
  process.env.CONTINUOUS_INTEGRATION = "false";
  const [{ render }, { createElement }, { App }] = await Promise.all([
    import("ink"),
    import("react"),
    import("./app.ts"),
  ]);
  feed.start();
  const { stdout } = process;
  const app = render(
    createElement(App, {
      feed,
      firstView: view,
      style: context.style,
      address: context.address,
      size: () => ({ columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 }),
      onResize: (listener) => {
        stdout.on("resize", listener);
        return () => stdout.off("resize", listener);
      },
    }),
    { alternateScreen: true, maxFps: 10, incrementalRendering: true },
  );
  const quit = () => app.unmount();
  context.signal.addEventListener("abort", quit, { once: true });
  await app.waitUntilExit();
  feed.stop();
}
