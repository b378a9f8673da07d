/** In linear time, also for a text that is nothing but slashes. */
export const withoutTrailingSlashes = (url: string): string => url.replace(/(?<!\/)\/+$/, "");
