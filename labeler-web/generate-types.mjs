/**
 * Makes `src/server/types.ts` from `openapi.json`; with `--check` it only says whether the file is the one that would be made.
 *
 * The shapes alone are taken: what the paths are and do stands in `api.ts`.
 */
import { readFile, writeFile } from "node:fs/promises";
import openapiTypescript, { astToString } from "openapi-typescript";

const TARGET = new URL("./src/server/types.ts", import.meta.url);
const NOTE = "/** Shapes of the HTTP interface, made from `openapi.json` by `npm run types`: do not edit. */\n";

const description = JSON.parse(await readFile(new URL("./openapi.json", import.meta.url), "utf8"));
const shapes = { ...description, paths: {} };
const syntax = await openapiTypescript(shapes, {
  rootTypes: true,
  rootTypesNoSchemaPrefix: true,
  rootTypesKeepCasing: true,
  defaultNonNullable: false,
});
const text = NOTE + astToString(syntax);
if (!process.argv.includes("--check")) await writeFile(TARGET, text);
else if ((await readFile(TARGET, "utf8")) !== text) {
  console.error("src/server/types.ts is not the one that openapi.json makes: npm run types");
  process.exit(1);
}
