/** FibTable: BGP routes in the kernel. It asks for no artifacts: what it holds is kept as columns (state/fib). */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import type { FibTableSpec } from "../../gen/cairn/v1/fib_kinds_pb.ts";
import { type Derivation, invalid, type ResourceKind } from "../kind.ts";

export const fibTableKind: ResourceKind = {
  kind: "FibTable",
  check(message: Message): Problem[] {
    const { families } = message as FibTableSpec;
    return families.flatMap((family, i) =>
      family === "ipv4-unicast" || family === "ipv6-unicast"
        ? []
        : [
            invalid(
              `families[${i}]`,
              `the kernel takes no ${family} routes`,
              "use ipv4-unicast or ipv6-unicast",
            ),
          ],
    );
  },
  derive: (): Derivation => ({ artifacts: [] }),
};
