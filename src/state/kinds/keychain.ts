/** Keychain: keys for TCP-AO. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { KeyAlgorithm, type KeychainSpec } from "../../gen/cairn/v1/keychain_service_pb.ts";
import { duplicates, invalid, type KindRules } from "./rules.ts";

const keysMax = 32;

export const keychainRules: KindRules = {
  check(message: Message): Problem[] {
    const { keys } = message as KeychainSpec;
    const problems = [
      ...duplicates(
        "keys",
        keys.map(({ id }) => id),
        "key",
      ),
      ...duplicates(
        "keys",
        keys.map(({ sendId }) => sendId ?? 0),
        "send_id",
      ),
      ...duplicates(
        "keys",
        keys.map(({ receiveId }) => receiveId ?? 0),
        "receive_id",
      ),
    ];
    if (keys.length === 0) problems.push(invalid("keys", "a keychain needs at least one key"));
    if (keys.length > keysMax) problems.push(invalid("keys", `a keychain holds at most ${keysMax} keys`));
    keys.forEach((key, i) => {
      if (key.secret === "") {
        problems.push({ code: "REQUIRED", path: `keys[${i}].secret`, message: "secret is missing" });
      }
      if (key.algorithm > KeyAlgorithm.AES_128_CMAC_96) {
        problems.push(invalid(`keys[${i}].algorithm`, "algorithm is hmac-sha-1-96 or aes-128-cmac-96"));
      }
    });
    return problems;
  },
};
