// Every text is there in every language, with the same gaps.
import assert from "node:assert/strict";
import {test} from "node:test";
import {de} from "../../src/i18n/de";
import {en} from "../../src/i18n/en";
import {fill, gapsOf} from "../../src/i18n/fill";

const tables: Record<string, Record<string, string>> = {en, de};

test("the languages have the same texts", () => {
    for (const [language, table] of Object.entries(tables)) {
        assert.deepEqual(Object.keys(table).sort(), Object.keys(en).sort(), language);
    }
});

test("no text is empty, and gaps agree", () => {
    for (const [language, table] of Object.entries(tables)) {
        for (const [key, text] of Object.entries(table)) {
            assert.notEqual(text.trim(), "", `${language} ${key}`);
            assert.deepEqual(gapsOf(text), gapsOf((en as Record<string, string>)[key] ?? ""), `${language} ${key}`);
        }
    }
});

test("gaps are filled, and stay when nothing fills them", () => {
    assert.equal(fill("{n} of {total}", {n: 2, total: "3"}), "2 of 3");
    assert.equal(fill("{n} of {total}", {n: 2}), "2 of {total}");
});
