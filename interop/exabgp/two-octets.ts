/**
 * RFC 6793 with a neighbor that knows two-octet AS numbers only: what does not fit travels as AS_TRANS with AS4_PATH
 * and AS4_AGGREGATOR beside it, both ways.
 */
import { equal, eventually } from "../lib/checks.ts";
import { families, injected, type Route, table } from "../lib/routes.ts";
import { exactAtCairn, type Scenario, sessionsUp, withPair } from "../lib/scenarios.ts";
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
      await checks.check("AS4_PATH from the neighbor is merged", () => exactAtCairn(pair));
      await checks.check("AS_TRANS and AS4_PATH from cairn", async () => {
        for (const family of families) {
          const long = injected[family][4];
          await eventually(long.prefix, `65001 ${long.asPathText}`, async () => {
            const routes: Route[] = table(await peer.received(family));
            return routes.find((each) => each.prefix === long.prefix)?.asPath ?? "";
          });
        }
      });
    });
  },
};
