/** What stands for "nothing was said" in an enum, which always has some value. */
const NOTHING =
  /^(?:(?:action|region)_)?(?:unspecified|unknown|undefined|unset|not_(?:set|specified)|none|default)$/;
/** The protobuf style guide's, whatever comes before it. */
const UNSPECIFIED = /(?:^|_)unspecified$/;
const OPT_IN = /opt(?:ed)?_?in/;
const OPT_OUT = /^(?:action_)?opt_?out$/;

/**
 * An enum's symbol as a field's text. Symbols are written by other rules than texts: in capitals, often after the enum's
 * name, as `ACTION_OPT_OUT` is. Undefined if it only says that nothing was said; never, if it tells of an opt-in.
 */
export function enumWord(symbol: string, enumName: string): string | undefined {
  const word = snakeCase(symbol);
  const prefix = `${snakeCase(enumName.slice(enumName.lastIndexOf(".") + 1))}_`;
  const own = word.startsWith(prefix) ? word.slice(prefix.length) : word;
  if ((NOTHING.test(own) || UNSPECIFIED.test(own)) && !OPT_IN.test(own)) return undefined;
  return OPT_OUT.test(own) || OPT_OUT.test(word) ? "opt_out" : symbol;
}

const snakeCase = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toLowerCase();
