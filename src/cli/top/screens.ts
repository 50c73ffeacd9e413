/** All screens of top, in the order of the tab key. A new one is a file in screens/ and a line here. */
import type { Screen } from "./screen.ts";
import { bfdScreen } from "./screens/bfd.ts";
import { bmpScreen } from "./screens/bmp.ts";
import { dampedScreen } from "./screens/damped.ts";
import { eventsScreen } from "./screens/events.ts";
import { explainScreen } from "./screens/explain.ts";
import { helpScreen } from "./screens/help.ts";
import { mrtScreen } from "./screens/mrt.ts";
import { neighborScreen } from "./screens/neighbor.ts";
import { objectsScreen } from "./screens/objects.ts";
import { policyScreen } from "./screens/policy.ts";
import { ribScreen } from "./screens/rib.ts";
import { rpkiScreen } from "./screens/rpki.ts";
import { sessionsScreen } from "./screens/sessions.ts";
import type { ScreenName } from "./view.ts";

export const screens: readonly Screen[] = [
  sessionsScreen,
  ribScreen,
  eventsScreen,
  policyScreen,
  rpkiScreen,
  bfdScreen,
  mrtScreen,
  bmpScreen,
  objectsScreen,
  dampedScreen,
  neighborScreen,
  explainScreen,
  helpScreen,
];

/** Screens that have a digit. */
export const tabs: readonly Screen[] = screens.filter(({ key }) => key !== undefined);

export function screenOf(name: ScreenName): Screen {
  return screens.find((screen) => screen.name === name) ?? sessionsScreen;
}
