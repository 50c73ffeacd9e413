/** Neighbors as the screens list them: filter, order, selection. */
import { parseIp } from "../../base/ip.ts";
import type { Neighbor } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { addressOf, asnOf, familySum, isUp, stateWord } from "../commands/neighbor-view.ts";
import { secondsOf } from "../human.ts";
import type { TopModel } from "./model.ts";
import { wordsOf } from "./text.ts";
import type { SortName, TopView } from "./view.ts";

type Compare = (a: Neighbor, b: Neighbor) => number;

const byAddress: Compare = (a, b) => compareAddress(addressOf(a), addressOf(b));

function compareOf(sort: SortName, model: TopModel): Compare {
  const rate = (neighbor: Neighbor): number => {
    const rates = model.rates.get(addressOf(neighbor));
    return (rates?.received.at(-1) ?? 0) + (rates?.sent.at(-1) ?? 0);
  };
  const compares: Record<SortName, Compare> = {
    address: () => 0,
    state: (a, b) => Number(isUp(a)) - Number(isUp(b)),
    uptime: (a, b) => secondsOf(a.state?.uptime) - secondsOf(b.state?.uptime),
    received: (a, b) => Number(familySum(b, "received") - familySum(a, "received")),
    updates: (a, b) => rate(b) - rate(a),
    flaps: (a, b) => Number(flapsOf(b) - flapsOf(a)),
  };
  return (a, b) => compares[sort](a, b) || byAddress(a, b);
}

/** Neighbors that pass the filter, in the chosen order. */
export function shownNeighbors(model: TopModel, view: TopView): Neighbor[] {
  const words = wordsOf(view.filter);
  const shown = [...model.neighbors.values()].filter((neighbor) => {
    const { spec } = neighbor;
    const parts = [addressOf(neighbor), asnOf(neighbor), stateWord(neighbor), spec?.peerGroup];
    const text = [...parts, spec?.description].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
  return shown.sort(compareOf(view.sort, model));
}

/** The selected neighbor; the first one while none was selected, or when it is gone. */
export function selectedNeighbor(model: TopModel, view: TopView): Neighbor | undefined {
  return model.neighbors.get(view.selected) ?? shownNeighbors(model, view)[0];
}

/** Address of the selected neighbor; empty when there is none. */
export function selectedAddress(model: TopModel, view: TopView): string {
  const neighbor = selectedNeighbor(model, view);
  return neighbor ? addressOf(neighbor) : "";
}

/** The address after (step 1) or before (-1) one, in the order of the sessions, around the end. */
export function nextNeighbor(model: TopModel, view: TopView, address: string, step: 1 | -1): string {
  const addresses = shownNeighbors(model, view).map(addressOf);
  if (addresses.length === 0) return address;
  const at = addresses.indexOf(address);
  return addresses[(at + step + addresses.length) % addresses.length];
}

/** Times that an established session ended since the start of cairnd. */
export function flapsOf({ state }: Neighbor): bigint {
  return (state?.ends ?? []).reduce((sum, { count }) => sum + count, 0n);
}

function compareAddress(a: string, b: string): number {
  const left = parseIp(a);
  const right = parseIp(b);
  if (!left || !right) return a < b ? -1 : 1;
  return left.length - right.length || Buffer.compare(left, right);
}
