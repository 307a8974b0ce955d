/** `--name value` pairs of the command line, with defaults. */
export function options(defaults) {
  const given = { ...defaults };
  for (let i = 2; i + 1 < process.argv.length; i += 2) given[process.argv[i].replace(/^--/, "")] = process.argv[i + 1];
  return given;
}
