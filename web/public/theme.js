// Runs before anything is painted, so that a page never flashes in the other theme.
(() => {
    try {
        const kept = JSON.parse(localStorage.getItem("hearth.preferences") ?? "{}");
        if (kept.theme === "light" || kept.theme === "dark") document.documentElement.dataset.theme = kept.theme;
        if (kept.language === "en" || kept.language === "de") document.documentElement.lang = kept.language;
    } catch {
        // Storage can be forbidden or hold anything; the system's theme serves.
    }
})();
