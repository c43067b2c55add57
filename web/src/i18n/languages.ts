// The languages of the app, each named in itself.
export const LANGUAGES = ["en", "de"] as const;
export type Language = (typeof LANGUAGES)[number];
export const LANGUAGE_NAMES: Record<Language, string> = {en: "English", de: "Deutsch"};
