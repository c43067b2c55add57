// What a person chose for this browser: theme and language. Kept in local storage; without
// storage it holds until the page is closed.
import {LANGUAGES, type Language} from "../i18n/languages";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "hearth.preferences";

function stored(): {theme?: unknown; language?: unknown} {
    try {
        const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
        return typeof value === "object" && value !== null ? value : {};
    } catch {
        return {};
    }
}

function browserLanguage(): Language {
    for (const tag of navigator.languages) {
        const language = LANGUAGES.find((l) => tag.toLowerCase().startsWith(l));
        if (language) return language;
    }
    return "en";
}

class Preferences {
    theme = $state<Theme>("system");
    language = $state<Language>("en");

    constructor() {
        const kept = stored();
        this.theme = THEMES.find((t) => t === kept.theme) ?? "system";
        this.language = LANGUAGES.find((l) => l === kept.language) ?? browserLanguage();
        this.#apply();
    }

    setTheme(theme: Theme): void {
        this.theme = theme;
        this.#keep();
    }

    setLanguage(language: Language): void {
        this.language = language;
        this.#keep();
    }

    #apply(): void {
        const root = document.documentElement;
        root.lang = this.language;
        if (this.theme === "system") delete root.dataset["theme"];
        else root.dataset["theme"] = this.theme;
    }

    #keep(): void {
        this.#apply();
        try {
            localStorage.setItem(KEY, JSON.stringify({theme: this.theme, language: this.language}));
        } catch {
            // Private windows may refuse; the choice then ends with the page.
        }
    }
}

export const preferences = new Preferences();
