// The texts of the language in use: t("chat.send"). Reading one in a component makes it follow
// the language.
import {preferences} from "../lib/preferences.svelte";
import {de} from "./de";
import {en, type TextKey} from "./en";
import {fill, type Values} from "./fill";
import type {Language} from "./languages";

const tables: Record<Language, Record<TextKey, string>> = {en, de};

export function t(key: TextKey, values?: Values): string {
    return fill(tables[preferences.language][key], values);
}
