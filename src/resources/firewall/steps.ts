/** Places of groups in the chains input and forward, in the order in which packets meet them. */
export const firewallSteps = {
  /** Flows that were let through, and what every link needs. */
  flows: 0,
  /** What is open without a rule. */
  needs: 100,
  rules: 500,
  policies: 800,
  roles: 900,
  logs: 980,
  end: 990,
} as const;
