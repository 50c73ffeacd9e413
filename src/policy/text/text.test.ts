import assert from "node:assert/strict";
import { test } from "node:test";
import { equals, type Message } from "@bufbuild/protobuf";
import { PolicyAction, type PolicySpec, PolicySpecSchema } from "../../gen/cairn/v1/policy_service_pb.ts";
import { formatObject } from "./format.ts";
import { layOut } from "./layout.ts";
import { renderError } from "./lexer.ts";
import { checkPolicyText } from "./load.ts";
import { parsePolicyText } from "./parse.ts";

const sample = `
# What a customer may send.
prefix-set bogons { 10.0.0.0/8+; 192.168.0.0/16 ge 24 le 32; }
prefix-set 10.0.0.0 { 10.0.0.0/8; }
as-path-set customers { "_65010$"; "originates 65011"; }
community-set no-export { 65000:*; }
neighbor-set ix { 203.0.113.0/24; asn 65010; group clients; }
asn-set 65020 { 65020; 65030-65039; }
next-hop-set ix { 203.0.113.0/24; }

policy customer-in {
  description "say \\"hello\\"";
  default-route: if is-default then reject;
  if prefix in (bogons, set 10.0.0.0, 172.16.0.0/12+) then reject;
  if as-path originates (65010, set 65020) and not med >= 5 and local-pref = 100 then {
    local-pref 200;
    community add (65000:1, set no-export);
    prepend own 2;
    accept;
  }
  tagged: { tag 7; med + 5; next policy }
  default reject;
}

test "customers" {
  import customer-in;
  neighbor 192.0.2.1 asn 65010 local-as 65000;
  given 0.0.0.0/0 as-path "65010"; expect reject by statement 1;
  given 10.1.0.0/16 as-path "65010"; expect reject by customer-in statement 2;
  given 198.51.100.0/24 as-path "65010";
  expect accept by statement 3 with local-pref 200 as-path "65000 65000 65010" community 65000:1;
  given 198.51.100.0/24 as-path "65010" med 7; expect reject by end;
}
`;

test("a text is checked, run and written again to the same model", () => {
  const checked = checkPolicyText(sample);
  assert.deepEqual(checked.errors, []);
  assert.deepEqual(checked.failures, []);
  const again = parsePolicyText(checked.objects.map(({ kind, spec }) => formatObject(kind, spec)).join("\n"));
  assert.deepEqual(again.errors, []);
  const models = (parsed: typeof again): Message[] => parsed.objects.map(({ spec }) => spec);
  assert.deepEqual(models(again), models(checked));
  const policy = checked.objects.find(({ kind }) => kind === "Policy")!.spec as PolicySpec;
  assert.equal(policy.statements[2].match!.not!.medGe, 5);
  assert.ok(equals(PolicySpecSchema, policy, models(again).at(-1) as PolicySpec));
});

test("errors say where, all at once, and reading goes on", () => {
  const text = `policy a {
  if prefx in bogons then reject;
  if med >= 5 and med >= 6 then accept;
  accept; local-pref 5
}
prefix-set b { 10.0.0.1/8; }
polcy c { }
policy d { if community in 9:x then call e; }`;
  const { errors } = checkPolicyText(text);
  assert.deepEqual(
    errors.map(({ line, column, message }) => `${line}:${column} ${message.slice(0, 48)}`),
    [
      '2:6 "prefx" is not a condition: did you mean prefix?',
      '3:19 "med >=" stands in this statement already: put all',
      '6:16 prefixes[0].prefix: "10.0.0.1/8" has host bits s',
      '7:1 "polcy" is not a policy, a set or a test: did yo',
      '8:28 statements[0].match.communities[0]: "9:x": "x" is',
      "8:42 statements[0].call: there is no Policy e (did you mean a)",
    ].map((line) => line.slice(0, line.indexOf(" ") + 49)),
  );
  assert.equal(
    renderError(text, "x.policy", errors[0]),
    `x.policy:2:6: "prefx" is not a condition: did you mean prefix?\n2 |   if prefx in bogons then reject;\n  |      ^^^^^`,
  );
});

test("laying out keeps comments, tests and the order of things, and finds nothing more to do the second time", () => {
  const text = `# Licence.

# What a customer may send.
prefix-set bogons { 10.0.0.0/8+; # private
  # documentation
  192.0.2.0/24 ; }   # end of set
policy in { # opening
  # before
  if prefix in bogons # inside a head
     then reject # after
  ;

  one: if med >= 5 then { accept; }
  if as-path in ("^65010_", "^65011_", "^65012_") and community in (65000:1, 65000:2, 65000:3) and local-pref >= 100 then { local-pref 200;
     # why
     accept }
  { tag 7; next policy }
  default reject; # last
  # dangling
}
test "a" { import in; given 10.0.0.0/8 as-path "65010"
  ; # given
  expect reject; }
# the end`;
  const wanted = `# Licence.

# What a customer may send.
prefix-set bogons {
  10.0.0.0/8+; # private
  # documentation
  192.0.2.0/24;
} # end of set

policy in { # opening
  # before
  # inside a head
  # after
  if prefix in bogons then reject;

  one: if med >= 5 then accept;
  if as-path in ("^65010_", "^65011_", "^65012_")
      and community in (65000:1, 65000:2, 65000:3)
      and local-pref >= 100 then {
    local-pref 200;
    # why
    accept;
  }
  { tag 7; next policy; }
  default reject; # last
  # dangling
}

test "a" {
  import in;
  given 10.0.0.0/8 as-path "65010"; # given
    expect reject;
}

# the end
`;
  assert.equal(layOut(text), wanted);
  assert.equal(layOut(wanted), wanted);
});

test("next and next term go on with the next statement, next policy with the next policy", () => {
  const actionsOf = (text: string): unknown => {
    const { errors, objects } = parsePolicyText(`policy p { ${text} }`);
    assert.deepEqual(errors, []);
    const { statements } = objects[0].spec as unknown as { statements: { action: PolicyAction }[] };
    return statements.map(({ action }) => action);
  };
  const wanted = [PolicyAction.NEXT_TERM, PolicyAction.NEXT_TERM, PolicyAction.NEXT_POLICY];
  assert.deepEqual(actionsOf("{ med 5; next } { med 6; next term } { med 7; next policy }"), wanted);
});
