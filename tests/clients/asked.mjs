// asked.mjs - what all clients are asked to ask: questions whose answers Ember knows, a tool, a form
// of an answer; and checks of what comes back.
import assert from "node:assert/strict";
import Ajv from "ajv/dist/2020.js";
import {z} from "zod";

export const SUM = "What is 12 + 30?";
export const ANSWER = "42";
export const LIMIT = {timeout: 900_000}; // of a test: then it hangs

// Ember does its sums in thought; without it answers like this one are plain text.
export const GREETING = "Hello";

// An answer to break off: it goes on after the model's own end, up to the context, and is so random
// that nothing of it can be drafted.
export const STORY = "Tell me about yourself.";
export const ENDLESS = {temperature: 2, top_k: 0, top_p: 1, min_p: 0, ignore_eos: true};

export const weather = {
    name: "get_weather",
    description: "The weather at a place.",
    parameters: {
        type: "object",
        properties: {
            place: {type: "string", minLength: 1, maxLength: 24},
            unit: {type: "string", enum: ["celsius", "fahrenheit"]},
            days: {type: "integer", minimum: 1, maximum: 9},
        },
        required: ["place", "unit", "days"],
        additionalProperties: false,
    },
};
export const clock = {
    name: "get_time",
    description: "The time of day.",
    parameters: {type: "object", properties: {zone: {type: "string", enum: ["UTC", "CET"]}}, required: ["zone"], additionalProperties: false},
};
// The same as far as every client passes it on: some leave lengths and ranges out.
export const weatherZod = z.object({place: z.enum(["Oslo", "Rome"]), unit: z.enum(["celsius", "fahrenheit"]), days: z.union([z.literal(1), z.literal(2)])});

// Without lists, which a model that babbles would never end.
export const personZod = z.object({name: z.enum(["Ann", "Bob"]), age: z.union([z.literal(20), z.literal(30)]), pet: z.object({kind: z.enum(["cat", "dog"])})});
// With limits, so that a model that babbles comes to an end.
export const person = {
    type: "object",
    properties: {
        name: {type: "string", maxLength: 20},
        age: {type: "integer", minimum: 0, maximum: 120},
        pet: {type: "object", properties: {kind: {enum: ["cat", "dog"]}}, required: ["kind"], additionalProperties: false},
    },
    required: ["name", "age", "pet"],
    additionalProperties: false,
};

const ajv = new Ajv({strict: false});

export function assertValid(schema, value) {
    const check = ajv.compile(schema);
    assert.ok(check(value), `${JSON.stringify(value)}: ${ajv.errorsText(check.errors)}`);
}

export const assertWeather = (value) => assertValid(weather.parameters, value);
export const assertPerson = (value) => assertValid(person, value);

// All that an async iterable gives.
export async function all(stream) {
    const list = [];
    for await (const item of stream) list.push(item);
    return list;
}

export const join = (list) => list.filter((text) => text !== undefined && text !== null).join("");
