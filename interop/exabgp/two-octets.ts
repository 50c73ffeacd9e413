/**
 * RFC 6793 with a neighbor that knows two-octet AS numbers only: what does not fit travels as AS_TRANS with AS4_PATH
 * and AS4_AGGREGATOR beside it, both ways.
 */
import { equal } from "../lib/checks.ts";
import { families } from "../lib/routes.ts";
import { exactAtCairn, exactAtPeer, type Scenario, sessionsUp, withPair } from "../lib/scenarios.ts";
import { ExaBgp } from "./peer.ts";

export const twoOctets: Scenario = {
  name: "two-octet AS numbers",
  async run(checks, _kind, folder) {
    const create = (setup: ConstructorParameters<typeof ExaBgp>[0]) => new ExaBgp(setup, false);
    await withPair({ create }, folder, { cairnPassive: true, peerPassive: false }, async (pair) => {
      const { cairn, peer } = pair;
      const up = await checks.check("session up without the capability", async () => {
        await sessionsUp(pair);
        const { capabilities = [] } = await cairn.neighbor(peer.session("ipv4-unicast").own);
        const ours = capabilities.find((each) => each.name === "four-octet-as");
        equal(
          "four-octet-as",
          { local: true, remote: false },
          { local: ours?.local, remote: ours?.remote ?? false },
        );
      });
      if (!up) return;
      await checks.check("AS4_PATH and AS4_AGGREGATOR from the neighbor are merged", () =>
        exactAtCairn(pair),
      );
      await checks.check("AS_TRANS, AS4_PATH and AS4_AGGREGATOR from cairn", async () => {
        await exactAtPeer(pair);
        for (const family of families) {
          const found = (peer as ExaBgp)
            .packets(family)
            .map((body) => wanted.filter((each) => body.includes(each)).length);
          equal("packets with both, with one", [1, 0], [count(found, 2), count(found, 1)]);
        }
      });
    });
  },
};

/** AGGREGATOR with AS_TRANS (23456), and AS4_AGGREGATOR with 4200000012; both with 192.0.2.9. */
const wanted = ["c007065ba0c0000209", "c01208fa56ea0cc0000209"];

function count(numbers: readonly number[], wanted: number): number {
  return numbers.filter((each) => each === wanted).length;
}
