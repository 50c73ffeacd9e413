/** What the owner's thread and the thread that reads the kernel's routes tell each other. */
import type { RouteNews, RouteScope } from "../dataplane/redistribute/messages.ts";

export type ToRoutes =
  | { readonly kind: "watch"; readonly scopes: readonly RouteScope[] }
  | { readonly kind: "close" };

export type FromRoutes = RouteNews;
