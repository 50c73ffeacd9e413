/** What an operator can do from the screen. Each is asked for again by name before it is done. */
import { randomUUID } from "node:crypto";
import { ControlService } from "../../gen/cairn/v1/control_service_pb.ts";
import { type Neighbor, NeighborService } from "../../gen/cairn/v1/neighbor_service_pb.ts";
import { RibService } from "../../gen/cairn/v1/rib_service_pb.ts";
import { RpkiService } from "../../gen/cairn/v1/rpki_service_pb.ts";
import { addressOf, asnOf, familySum, isUp, stateWord } from "../commands/neighbor-view.ts";
import { humanBytes, humanCount } from "../human.ts";
import type { Calls } from "./screen.ts";

/** RFC 9003. */
const messageBytesMax = 255;

export interface Action {
  /** Its key in the menu. */
  readonly key: string;
  readonly label: string;
  /** What is asked before it is done. Names the object: the selection may move meanwhile. */
  readonly question: string;
  /** Takes traffic away, or gives work to neighbors. */
  readonly harmful: boolean;
  /** A text that goes along is asked for first. */
  readonly text?: { readonly label: string; readonly maxBytes: number };
  /** Does it, and says in one sentence what was done. @throws CliError */
  run(calls: Calls, text: string): Promise<string>;
}

export function neighborActions(neighbor: Neighbor): Action[] {
  const { method } = NeighborService;
  const address = addressOf(neighbor);
  const who = `${address} (AS ${asnOf(neighbor)}, ${stateWord(neighbor)})`;
  const routes = isUp(neighbor) ? `; ${humanCount(familySum(neighbor, "received"))} routes received go` : "";
  const text = { label: `text for ${address} (may be empty)`, maxBytes: messageBytesMax };
  const mutation = () => ({ reason: "cairnctl top", requestId: randomUUID() });
  return [
    {
      key: "e",
      label: "enable the neighbor",
      question: `enable ${who}`,
      harmful: false,
      run: async (calls) => {
        const { changes } = await calls.call(method.enableNeighbor, { address, ...mutation() });
        return changes.length === 0 ? `${address} was enabled before` : `${address} is enabled`;
      },
    },
    {
      key: "d",
      label: "disable the neighbor, with a text for it",
      question: `DISABLE ${who}${routes}`,
      harmful: true,
      text,
      run: async (calls, message) => {
        const request = { address, message, ...mutation() };
        const { changes } = await calls.call(method.disableNeighbor, request);
        return changes.length === 0
          ? `${address} was disabled before`
          : `${address} is disabled until it is enabled again`;
      },
    },
    {
      key: "i",
      label: "soft reset in: run import policy again",
      question: `run import policy again over the routes of ${who}`,
      harmful: false,
      run: async (calls) => {
        await calls.call(method.softResetIn, { address });
        return `import policy runs again over the routes of ${address}`;
      },
    },
    {
      key: "r",
      label: "route refresh: ask for all routes again",
      question: `ask ${who} for all its routes again`,
      harmful: false,
      run: async (calls) => {
        await calls.call(method.softResetIn, { address, refresh: true });
        return `${address} is asked for its routes`;
      },
    },
    {
      key: "o",
      label: "soft reset out: send everything again",
      question: `send everything to ${who} again`,
      harmful: false,
      run: async (calls) => {
        await calls.call(method.softResetOut, { address });
        return `everything is sent to ${address} again`;
      },
    },
    {
      key: "h",
      label: "hard reset: end the session, it starts again",
      question: `RESET the session with ${who}${routes}`,
      harmful: true,
      text,
      run: async (calls, message) => {
        await calls.call(method.hardReset, { address, message });
        return `the session with ${address} is reset`;
      },
    },
    clearDampening({ neighbor: address, prefix: "" }),
  ];
}

/** Forgets flaps of a neighbor, of a prefix, or of both. */
export function clearDampening(of: { readonly neighbor: string; readonly prefix: string }): Action {
  const what = [of.prefix, of.neighbor && `routes of ${of.neighbor}`].filter(Boolean).join(", ");
  return {
    key: "c",
    label: "clear dampening: use suppressed routes again",
    question: `forget the flaps of ${what}`,
    harmful: false,
    run: async (calls) => {
      await calls.call(RibService.method.clearDampening, of);
      return `flaps of ${what} are forgotten`;
    },
  };
}

export function cacheActions(name: string): Action[] {
  const refresh = (key: string, label: string, question: string, reset: boolean): Action => ({
    key,
    label,
    question,
    harmful: false,
    run: async (calls) => {
      await calls.call(RpkiService.method.refreshRpkiCache, { name, reset });
      return `the cache ${name} is asked`;
    },
  });
  return [
    refresh("f", "refresh: ask the cache for what is new", `ask the cache ${name} for what is new`, false),
    refresh("F", "reset: ask the cache for everything", `ask the cache ${name} for everything, anew`, true),
  ];
}

export function dumpActions(name: string): Action[] {
  return [
    {
      key: "d",
      label: "dump now",
      question: `write the dump ${name} now`,
      harmful: false,
      run: async (calls) => {
        const dump = await calls.call(ControlService.method.triggerMrtDump, { name });
        return `${dump.path}: ${humanCount(dump.routes)} routes, ${humanBytes(dump.bytes)}`;
      },
    },
  ];
}
