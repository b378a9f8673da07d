/** `12,345`: the same for every reader, whatever the machine's locale. */
export const grouped = (number: number): string => number.toLocaleString("en-US");
