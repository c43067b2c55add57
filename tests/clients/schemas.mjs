// schemas.mjs - the JSON Schemas of the golden data, and Ajv as the judge of what was written by them.
import {readdirSync, readFileSync} from "node:fs";
import {basename, join} from "node:path";
import Ajv07 from "ajv";
import Ajv2019 from "ajv/dist/2019.js";
import Ajv2020 from "ajv/dist/2020.js";
import Ajv04 from "ajv-draft-04";
import addFormats from "ajv-formats";
import {fastFormats} from "ajv-formats/dist/formats.js";

const read = (path) => JSON.parse(readFileSync(path, "utf8"));

function filesBelow(folder, under = "") {
    return readdirSync(join(folder, under), {withFileTypes: true}).flatMap((entry) => {
        const path = join(under, entry.name);
        return entry.isDirectory() ? filesBelow(folder, path) : /\.json$/.test(path) ? [path] : [];
    }).sort();
}

// ---- the published suite of JSON Schema ----

function suite(root) {
    const folder = join(root, "JSON-Schema-Test-Suite/tests/draft2020-12");
    return filesBelow(folder).flatMap((file) => read(join(folder, file)).map(({description, schema}) => ({name: `${file}: ${description}`, schema})));
}

// What the suite's references to http://localhost:1234 stand for.
function remotes(root) {
    const folder = join(root, "JSON-Schema-Test-Suite/remotes");
    return filesBelow(folder).map((file) => [`http://localhost:1234/${file}`, read(join(folder, file))]);
}

// ---- cases of grammars, with what llama.cpp makes of them ----

function cases(root) {
    return read(join(root, "grammar/cases.json")).filter((one) => one.schema)
        .map((one) => ({name: `grammar: ${one.name}`, schema: JSON.parse(one.schema), grammar: one.llamacpp_gbnf, draft: "2019-09"}));
}

// ---- parameters of functions; they have Python's names of types ----

const pythonTypes = {dict: "object", float: "number", tuple: "array", any: undefined};

function fromPython(node) {
    if (Array.isArray(node)) return node.map(fromPython);
    if (node === null || typeof node !== "object") return node;
    const entries = Object.entries(node).map(([key, value]) =>
        key === "type" && value in pythonTypes ? [key, pythonTypes[value]] : [key, fromPython(value)]);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function functions(root) {
    const folder = join(root, "bfcl_v4");
    const seen = new Map();
    for (const file of filesBelow(folder).filter((file) => !file.startsWith("possible_answer")))
        for (const line of readFileSync(join(folder, file), "utf8").trim().split("\n")) {
            const one = JSON.parse(line);
            for (const {name, parameters} of one.function ?? (one.parameters ? [one] : [])) {
                const schema = fromPython(parameters);
                seen.set(JSON.stringify(schema), {name: `${basename(file, ".json")}: ${name}`, schema});
            }
        }
    return [...seen.values()];
}

// ---- all of them ----

// Every n-th of each source, so that about `most` are left.
function thin(lists, most) {
    return lists.flatMap((list) => {
        const step = Math.max(1, Math.floor(list.length * lists.length / most));
        return list.filter((_, i) => i % step === 0);
    });
}

// [{name, schema, grammar, draft}]; without a draft it is the one that the schema names, or 2020-12.
export function schemas(root, most = Infinity) {
    return thin([suite(root), cases(root), functions(root)], most);
}

// ---- the judge ----

const makers = [[/2019-09/, Ajv2019], [/draft-0[67]/, Ajv07], [/draft-04/, Ajv04]];
// Schemas may hold what no draft knows. Without a precision Ajv finds no integer that is a multiple
// of 1e-8.
const settings = {strict: false, logger: false, allErrors: true, multipleOfPrecision: 6};

function judgeFor({schema, draft = schema?.$schema}, known) {
    const [, Maker] = makers.find(([name]) => name.test(draft)) ?? [null, Ajv2020];
    const ajv = new Maker(settings);
    addFormats(ajv);
    // RFC 5321 has hosts without a dot, RFC 3986 nothing behind the scheme.
    for (const name of ["email", "uri"]) ajv.addFormat(name, fastFormats[name]);
    if (JSON.stringify(schema).includes("localhost:1234"))
        for (const [name, remote] of known) if (/2020-12\//.test(name)) ajv.addSchema(remote, name);
    return ajv;
}

// problem(one of schemas(), value): what is wrong with the value, null: nothing. Throws for a
// schema that Ajv cannot compile.
export function openJudge(root) {
    const known = remotes(root);
    return (one, value) => {
        const ajv = judgeFor(one, known);
        const check = ajv.compile(one.schema);
        return check(value) ? null : ajv.errorsText(check.errors);
    };
}
