/** Models and screens of cairnctl top for its tests. */
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { createElement } from "react";
import { plain } from "../../src/cli/style.ts";
import type { Action } from "../../src/cli/top/actions.ts";
import { emptyModel, type TopInput, type TopModel, update } from "../../src/cli/top/model.ts";
import type { FrameSize, Want } from "../../src/cli/top/screen.ts";
import { firstView, type TopView } from "../../src/cli/top/view.ts";
import { GetHealthResponseSchema } from "../../src/gen/cairn/v1/control_service_pb.ts";
import { EventSchema } from "../../src/gen/cairn/v1/event_service_pb.ts";
import { type Neighbor, NeighborSchema, SessionState } from "../../src/gen/cairn/v1/neighbor_service_pb.ts";
import { GetRibSummaryResponseSchema } from "../../src/gen/cairn/v1/rib_service_pb.ts";

export function neighbor(address: string, up: boolean, updates: number): Neighbor {
  return create(NeighborSchema, {
    spec: { address, remoteAsn: 65_001, description: `link ${address}` },
    state: {
      sessionState: up ? SessionState.ESTABLISHED : SessionState.ACTIVE,
      uptime: { seconds: up ? 187_200n : 0n },
      families: [{ family: "ipv4-unicast", received: 1_000_000n, accepted: 999_999n, advertised: 5n }],
      received: { updates: BigInt(updates) },
      sent: { updates: 0n },
      lastResetReason: up ? "" : "hold timer expired",
    },
  });
}

export function health(uptimeS: number, healthy = true) {
  return create(GetHealthResponseSchema, {
    healthy,
    version: "1.2.3",
    uptime: { seconds: BigInt(uptimeS) },
    generation: 7n,
    name: "edge1",
    asn: 65_000,
    routerId: "192.0.2.254",
    subsystems: [{ name: "store", healthy, detail: healthy ? "" : "disk is full" }],
  });
}

/** A model with three neighbors, one of them down, and two samples ten seconds apart. */
export function filled(): TopModel {
  const list = (updates: number) => [
    neighbor("192.0.2.1", true, updates),
    neighbor("192.0.2.2", false, 0),
    neighbor("2001:db8:1234:5678:9abc:def0:1234:5678", true, 0),
  ];
  const inputs: TopInput[] = [
    { input: "health", health: health(60) },
    {
      input: "summary",
      summary: create(GetRibSummaryResponseSchema, {
        families: [{ family: "ipv4-unicast", prefixes: 1_000_000n, paths: 2_000_000n }],
        memoryBytes: 60_000_000n,
      }),
    },
    { input: "sample", neighbors: list(0), nowMs: 0 },
    { input: "sample", neighbors: list(1_200), nowMs: 10_000 },
    {
      input: "history",
      events: [
        create(EventSchema, { id: 1n, topic: "cairn.bgp.session.established", summary: "session is up" }),
      ],
    },
  ];
  return inputs.reduce(update, emptyModel);
}

export function app(t: TestContext, start: TopModel) {
  let model = start;
  const listeners = new Set<() => void>();
  const wants: (Want | undefined)[] = [];
  const actions: Action[] = [];
  const feed = {
    model: () => model,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    show: (want: Want | undefined) => {
      if (want?.key !== wants.at(-1)?.key || want?.screen !== wants.at(-1)?.screen) wants.push(want);
    },
    act: (action: Action) => void actions.push(action),
  };
  const take = (input: TopInput) => {
    model = update(model, input);
    for (const listener of listeners) listener();
  };
  return {
    feed,
    take,
    /** Each other question that the screens in view had, in order. */
    wants,
    actions,
    mount: (size: FrameSize = { columns: 80, rows: 24 }, view = firstView) => mount(t, feed, size, view),
  };
}

async function mount(
  t: TestContext,
  feed: ReturnType<typeof app>["feed"],
  frame: FrameSize,
  firstView: TopView,
) {
  const [{ render }, { App }] = await Promise.all([
    import("ink-testing-library"),
    import("../../src/cli/top/app.ts"),
  ]);
  const size = () => frame;
  const screen = render(
    createElement(App, {
      feed,
      firstView,
      style: plain,
      address: "unix:///x",
      size,
      onResize: () => () => {},
    }),
  );
  t.after(() => screen.unmount());
  await settle();
  /** Types keys and answers with the frame after them. */
  const press = async (keys: string): Promise<string> => {
    screen.stdin.write(keys);
    await settle();
    return screen.lastFrame() ?? "";
  };
  return { ...screen, press };
}

/** Lets Ink take its input and draw; its escape key waits a moment for the rest of a sequence. */
export async function settle(): Promise<void> {
  await sleep(60);
}
