// openapi.mjs - the OpenAPI description of OpenAI's interface as checks of requests and answers.
import {readFileSync} from "node:fs";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import {parse} from "yaml";

// The description says 'nullable' also of schemas without a type, as OpenAPI 3.0 did; JSON Schema
// has a second possibility for that. And it says 'oneOf' of forms that overlap, so that its own
// examples have two of them (a message of parts): one is enough.
function modernise(node) {
    if (Array.isArray(node)) return node.map(modernise);
    if (node === null || typeof node !== "object") return node;
    const entries = Object.entries(node).map(([key, value]) => [key === "oneOf" && !node.anyOf ? "anyOf" : key, modernise(value)]);
    const {nullable, ...rest} = Object.fromEntries(entries);
    if (nullable !== true) return nullable === undefined || nullable === false ? rest : {nullable, ...rest};
    return {anyOf: [rest, {type: "null"}]};
}

// The bodies of the examples that the description gives of one request.
function examplesOf(operation) {
    const given = operation["x-oaiMeta"]?.examples ?? [];
    return (Array.isArray(given) ? given : [{title: "example", ...given}]).flatMap(({title, request}) => {
        const body = request?.curl?.match(/-d '(\{[\s\S]*\})'/)?.[1];
        return body ? [{title, body: JSON.parse(body)}] : [];
    });
}

// {problems(schemaName, value): text or null, examples(path): [{title, body}]}
export function openDescription(path) {
    const {components, paths} = parse(readFileSync(path, "utf8"), {maxAliasCount: -1});
    const ajv = new Ajv({strict: false, logger: false});
    addFormats(ajv);
    ajv.addSchema({$id: "api", components: modernise(components)});
    const problems = (name, value) => {
        const check = ajv.getSchema(`api#/components/schemas/${name}`);
        return check(value) ? null : `${ajv.errorsText(check.errors, {dataVar: name})} in ${JSON.stringify(value)}`;
    };
    return {problems, examples: (place) => examplesOf(paths[place].post)};
}
