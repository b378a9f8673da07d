import { readdirSync, readFileSync } from "node:fs";
import type { FastifyInstance } from "fastify";
import { HTML } from "./html.ts";
import { STYLE } from "./style.ts";

/** The page asks for nothing but itself, from where it came, and nobody shows it in a frame. */
const HEADERS = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // The page of one version must never meet the script of another.
  "cache-control": "no-store",
};

/** The page's scripts are compiled as the rest is, into the folder beside this file. */
const SCRIPTS = new URL("./page/", import.meta.url);

/** `/` for people, with its style and scripts under `/console/`. All of it is read once, here. */
export function addConsole(app: FastifyInstance): void {
  const serve = (path: string, type: string, body: string): void => {
    app.get(path, async (_request, reply) =>
      reply.headers({ ...HEADERS, "content-type": `${type}; charset=utf-8` }).send(body),
    );
  };
  serve("/", "text/html", HTML);
  serve("/console/style.css", "text/css", STYLE);
  for (const file of readdirSync(SCRIPTS).filter((name) => name.endsWith(".js"))) {
    serve(`/console/${file}`, "text/javascript", readFileSync(new URL(file, SCRIPTS), "utf8"));
  }
}
