import assert from "node:assert/strict";
import { test } from "node:test";
import { withVariables } from "./config-source.ts";

test("variables of the caller stand in for their names; what is escaped stays", () => {
  const env = { ASN: "65001", QUOTED: 'a "b" \\ c', NESTED: `\${ASN}` };
  assert.equal(withVariables(`asn = \${ASN}`, env), "asn = 65001");
  assert.equal(withVariables(`name = "\${QUOTED}"`, env), 'name = "a \\"b\\" \\\\ c"');
  assert.equal(withVariables(`name = "$\${ASN} \${NESTED}"`, env), `name = "$\${ASN} $\${ASN}"`);
  assert.throws(() => withVariables(`\${ONE} \${TWO} \${ONE}`, env), /not set: ONE, TWO/);
});
