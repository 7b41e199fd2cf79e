/** The command that gives the same answer in a terminal. */

export const title = "curl";
export const extension = "sh";
export const mime = "text/x-shellscript";
export const whole = true;

/** A string as one word of a POSIX shell. */
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The key itself never gets into a command that is passed on. */
const authorization = (keyed) => (keyed ? `  -H "Authorization: Bearer $UNDERSTORY_API_KEY" \\\n` : "");

export const make = ({ request, base, keyed }) =>
  `curl -sS ${quote(new URL("v1/compare", base).href)} \\\n  -H 'Content-Type: application/json' \\\n${authorization(keyed)}  -d ${quote(JSON.stringify(request))}\n`;
