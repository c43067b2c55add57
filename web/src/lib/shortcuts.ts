// Keyboard shortcuts, one table for what they do and for the help that lists them. "mod" is the
// Command key on Apple's systems, Control elsewhere.
import type {TextKey} from "../i18n/en";

export type Command = "new" | "search" | "settings" | "copylast" | "help" | "stop";

export interface Shortcut {
    keys: string[];
    text: TextKey;
    command?: Command; // without one the shortcut belongs to a field, which does it itself
}

export const SHORTCUTS: Shortcut[] = [
    {keys: ["Enter"], text: "keys.send"},
    {keys: ["Shift", "Enter"], text: "keys.newline"},
    {keys: ["↑"], text: "keys.editlast"},
    {keys: ["Esc"], text: "keys.stop", command: "stop"},
    {keys: ["mod", "Shift", "O"], text: "keys.new", command: "new"},
    {keys: ["mod", "K"], text: "keys.search", command: "search"},
    {keys: ["mod", "Shift", "C"], text: "keys.copylast", command: "copylast"},
    {keys: ["mod", "."], text: "keys.settings", command: "settings"},
    {keys: ["mod", "/"], text: "keys.help", command: "help"},
];

export const isApple = (platform: string): boolean => /mac|iphone|ipad/i.test(platform);

type Pressed = Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">;

function matches({keys}: Shortcut, event: Pressed): boolean {
    const wanted = keys.at(-1) === "Esc" ? "escape" : keys.at(-1)?.toLowerCase();
    const mod = event.ctrlKey || event.metaKey;
    // The shift key of "/" differs between keyboards: it matters for letters only.
    const shiftMatters = /^[a-z]$/i.test(keys.at(-1) ?? "");
    return event.key.toLowerCase() === wanted && mod === keys.includes("mod") && !event.altKey &&
        (!shiftMatters || event.shiftKey === keys.includes("Shift"));
}

export function commandOf(event: Pressed): Command | null {
    return SHORTCUTS.find((s) => s.command && matches(s, event))?.command ?? null;
}
